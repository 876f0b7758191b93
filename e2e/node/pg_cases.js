// node-postgres at its defaults, one case per name; each prints its outcome as JSON.
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');

const say = (...things) => console.log(JSON.stringify(things));
const code = async (promise) => {
  try {
    return (await promise).rows;
  } catch (e) {
    return [e.code, e.message];
  }
};

async function withClient(work) {
  const client = new Client();
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

const cases = {
  listen: () => withClient(async (c) => {
    const heard = [];
    c.on('notification', (m) => heard.push([m.channel, m.payload, m.processId === c.processID]));
    await c.query('listen a');
    await withClient(async (other) => {
      for (let i = 0; i < 5; i++) await other.query("select pg_notify('a', $1)", [String(i)]);
    });
    while (heard.length < 5) await new Promise((resolve) => setTimeout(resolve, 10));
    await c.query("notify a, 'own'");
    await c.query('begin');
    await c.query("notify a, 'in a transaction'");
    await c.query('commit');
    say(heard, (await c.query('select * from pg_listening_channels()')).rows);
    await c.query('unlisten a');
    await c.query("notify a, 'never'");
    say(heard.length, (await c.query('select * from pg_listening_channels()')).rows);
  }),
  queries: () => withClient(async (c) => {
    for (let i = 0; i < 20; i++) say((await c.query('select $1::int as n, $2::text as t', [i, 'v' + i])).rows);
    say(await code(c.query('select 1/0')), await code(c.query('select 1 as one; select 2 as two')));
    say(await code(c.query('select $1::int', ['x'])), await code(c.query('select 3 as three')));
  }),
  named: () => withClient(async (c) => {
    for (let i = 0; i < 30; i++) {
      say((await c.query({ name: 'fetch', text: 'select $1::int * 2 as n', values: [i] })).rows);
    }
    await withClient(async (other) => {
      for (let i = 0; i < 10; i++) {
        say((await other.query({ name: 'fetch', text: "select 'other' as o, $1::text as t", values: ['x' + i] })).rows);
        say((await c.query({ name: 'fetch', text: 'select $1::int * 2 as n', values: [i] })).rows);
      }
    });
  }),
  transactions: () => withClient(async (c) => {
    await c.query('drop table if exists node_tx');
    await c.query('create table node_tx (a int)');
    for (let i = 0; i < 10; i++) {
      await c.query('begin');
      await c.query('insert into node_tx values ($1)', [i]);
      await c.query(i % 2 ? 'commit' : 'rollback');
    }
    say((await c.query('select * from node_tx order by a')).rows);
    await c.query('drop table node_tx');
  }),
  cursor: () => withClient(async (c) => {
    await c.query('begin');
    const cursor = c.query(new Cursor('select i from generate_series(1, $1) i', [1000]));
    let total = 0;
    for (let rows = await cursor.read(77); rows.length; rows = await cursor.read(77)) {
      total += rows.reduce((sum, row) => sum + row.i, 0);
    }
    await cursor.close();
    await c.query('commit');
    say(total, (await c.query('select 1 as one')).rows);
  }),
  pool: async () => {
    const pool = new Pool({ max: 20 });
    const results = await Promise.all([...Array(300).keys()].map((i) => pool.query('select $1::int as n', [i])));
    say(results.every((r, i) => r.rows[0].n === i));
    const named = await Promise.all([...Array(300).keys()].map((i) =>
      pool.query({ name: 'q' + (i % 7), text: `select ${i % 7} as k, $1::int as n`, values: [i] })));
    say(named.every((r, i) => r.rows[0].n === i && r.rows[0].k === i % 7));
    await pool.end();
  },
  parameters: async () => {
    const client = new Client({ application_name: 'node app', statement_timeout: 7000, options: '-c search_path=public' });
    await client.connect();
    for (const name of ['application_name', 'statement_timeout', 'search_path']) {
      say((await client.query('show ' + name)).rows);
    }
    await client.end();
  },
  queued: () => withClient(async (c) => {
    const results = await Promise.all([...Array(100).keys()].map((i) => c.query('select $1::int as n', [i])));
    say(results.map((r) => r.rows[0].n));
  }),
};

cases[process.argv[2]]().catch((e) => {
  console.error(e);
  process.exit(1);
});
