// postgres.js at its defaults (prepared statements, pipelining), one case per name; each prints its outcome as JSON.
const postgres = require('postgres');

const say = (...things) => console.log(JSON.stringify(things));
const connect = (options = {}) => postgres({
  host: process.env.PGHOST, port: Number(process.env.PGPORT), database: process.env.PGDATABASE,
  username: process.env.PGUSER, password: process.env.PGPASSWORD, onnotice: () => {}, ...options,
});
const code = async (promise) => {
  try {
    return await promise;
  } catch (e) {
    return [e.code, e.message];
  }
};
const numbers = (n) => [...Array(n).keys()];

const cases = {
  queries: async (sql) => {
    for (const i of numbers(30)) say(await sql`select ${i}::int as n, ${'v' + i}::text as t`);
    say(await code(sql`select 1/0`), await code(sql`select * from no_such_table`), await sql`select 1 as one`);
  },
  parallel: async (sql) => {
    const results = await Promise.all(numbers(500).map((i) => sql`select ${i}::int as n, ${i % 5}::int as k`));
    say(results.every((r, i) => r[0].n === i && r[0].k === i % 5));
  },
  transactions: async (sql) => {
    await sql`drop table if exists pjs`;
    await sql`create table pjs (a int, b text)`;
    await sql.begin(async (tx) => {
      await tx`insert into pjs ${tx(numbers(50).map((i) => ({ a: i, b: 'v' + i })))}`;
      await tx.savepoint(async (inner) => {
        await inner`insert into pjs values (1000, 'gone')`;
        throw new Error('undo');
      }).catch(() => {});
    });
    say(await code(sql.begin(async (tx) => {
      await tx`insert into pjs values (2000, 'gone')`;
      await tx`select 1/0`;
    })));
    say(await sql`select count(*)::int, sum(a)::int from pjs`);
    const results = await sql.begin((tx) => numbers(20).map((i) => tx`select ${i}::int as n`));
    say(results.map((r) => r[0].n));
    await sql`drop table pjs`;
  },
  cursor: async (sql) => {
    let total = 0;
    await sql`select i from generate_series(1, 1000) i`.cursor(61, (rows) => {
      total += rows.reduce((sum, row) => sum + row.i, 0);
    });
    say(total);
  },
  cancel: async (sql) => {
    const query = sql`select pg_sleep(30)`.execute();
    setTimeout(() => query.cancel(), 300);
    say(await code(query).then((e) => e[0]), await sql`select 7 as n`);
  },
  simple: async (sql) => {
    say(await sql`select 1 as one; select 2 as two`.simple(), await sql.unsafe('select 3 as three; select 4 as four'));
  },
  copy: async (sql) => {
    const { pipeline } = require('node:stream/promises');
    const { Readable } = require('node:stream');
    await sql`drop table if exists pjs_copy`;
    await sql`create table pjs_copy (a int)`;
    await pipeline(Readable.from(numbers(3000).map((i) => i + '\n')), await sql`copy pjs_copy from stdin`.writable());
    let bytes = 0;
    for await (const chunk of await sql`copy pjs_copy to stdout`.readable()) bytes += chunk.length;
    say(bytes, await sql`select count(*)::int, sum(a)::int from pjs_copy`);
    await sql`drop table pjs_copy`;
  },
  parameters: async () => {
    const sql = connect({ connection: { application_name: 'pjs app', statement_timeout: 6000 } });
    for (const name of ['application_name', 'statement_timeout']) say(await sql.unsafe('show ' + name));
    await sql.end();
  },
};

const sql = connect();
cases[process.argv[2]](sql).then(() => sql.end()).catch((e) => {
  console.error(e);
  process.exit(1);
});
