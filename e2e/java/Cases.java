// What Java programs do with pgjdbc, cases by name, with commas; each prints its outcome.
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

public class Cases {
  static String url;
  static Properties properties = new Properties();

  static Connection connect() throws SQLException {
    return DriverManager.getConnection(url, properties);
  }

  static void say(Object... things) {
    StringBuilder line = new StringBuilder();
    for (Object thing : things) line.append(thing).append(' ');
    System.out.println(line.toString().trim());
  }

  static void attempt(Connection c, String sql) {
    try (Statement s = c.createStatement()) {
      say("ok", s.execute(sql));
    } catch (SQLException e) {
      say("error", e.getSQLState());
    }
  }

  static void prepared() throws Exception {
    try (Connection c = connect()) {
      for (int i = 0; i < 30; i++) {
        try (PreparedStatement s = c.prepareStatement("select ?::int + 1, ?::text")) {
          s.setInt(1, i);
          s.setString(2, "v" + i);
          try (ResultSet r = s.executeQuery()) {
            while (r.next()) say(r.getInt(1), r.getString(2));
          }
        }
      }
      attempt(c, "select 1/0");
      attempt(c, "select 1");
    }
  }

  static void batches() throws Exception {
    try (Connection c = connect()) {
      attempt(c, "drop table if exists jdbc_batch");
      attempt(c, "create table jdbc_batch (id int primary key, v text)");
      for (int round = 0; round < 3; round++) {
        try (PreparedStatement s = c.prepareStatement("insert into jdbc_batch values (?, ?)")) {
          for (int i = 0; i < 1000; i++) {
            s.setInt(1, round * 1000 + i);
            s.setString(2, "row " + i);
            s.addBatch();
          }
          say(Arrays.stream(s.executeBatch()).sum());
        }
      }
      try (PreparedStatement s = c.prepareStatement("insert into jdbc_batch values (?, ?)")) {
        for (int i = 2999; i < 3003; i++) {
          s.setInt(1, i);
          s.setString(2, "x");
          s.addBatch();
        }
        s.executeBatch();
      } catch (BatchUpdateException e) {
        say("batch", e.getSQLState());
      }
      try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("select count(*), sum(id) from jdbc_batch")) {
        r.next();
        say(r.getLong(1), r.getLong(2));
      }
      try (PreparedStatement s = c.prepareStatement("insert into jdbc_batch values (?, 'k') returning id",
                                                    Statement.RETURN_GENERATED_KEYS)) {
        s.setInt(1, 9000);
        s.executeUpdate();
        try (ResultSet r = s.getGeneratedKeys()) {
          while (r.next()) say("key", r.getInt(1));
        }
      }
      attempt(c, "drop table jdbc_batch");
    }
  }

  static void transactions() throws Exception {
    try (Connection c = connect()) {
      c.setAutoCommit(false);
      attempt(c, "drop table if exists jdbc_tx");
      attempt(c, "create table jdbc_tx (a int)");
      c.commit();
      for (int i = 0; i < 10; i++) {
        try (PreparedStatement s = c.prepareStatement("insert into jdbc_tx values (?)")) {
          s.setInt(1, i);
          s.executeUpdate();
        }
        if (i % 2 == 0) c.commit(); else c.rollback();
      }
      Savepoint point = c.setSavepoint();
      attempt(c, "select 1/0");
      attempt(c, "select 1");
      c.rollback(point);
      try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("select count(*) from jdbc_tx")) {
        r.next();
        say(r.getLong(1));
      }
      c.commit();
      c.setAutoCommit(true);
      attempt(c, "drop table jdbc_tx");
    }
  }

  static void cursors() throws Exception {
    try (Connection c = connect()) {
      c.setAutoCommit(false);
      for (int round = 0; round < 3; round++) {
        try (PreparedStatement s = c.prepareStatement("select i from generate_series(1, ?) i")) {
          s.setFetchSize(37);
          s.setInt(1, 1000);
          long total = 0;
          try (ResultSet r = s.executeQuery()) {
            while (r.next()) total += r.getLong(1);
          }
          say(total);
        }
        c.commit();
      }
    }
  }

  static void cancel() throws Exception {
    try (Connection c = connect(); Statement s = c.createStatement()) {
      for (int round = 0; round < 3; round++) {
        ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor();
        later.schedule(() -> { s.cancel(); return null; }, 300, TimeUnit.MILLISECONDS);
        try {
          s.execute("select pg_sleep(30)");
        } catch (SQLException e) {
          say("cancelled", e.getSQLState());
        }
        later.shutdown();
        later.awaitTermination(5, TimeUnit.SECONDS);
        try (ResultSet r = s.executeQuery("select 5")) {
          r.next();
          say(r.getInt(1));
        }
      }
      s.setQueryTimeout(1);
      attempt(c, "select 6");
      try {
        s.execute("select pg_sleep(30)");
      } catch (SQLException e) {
        say("timeout", e.getSQLState());
      }
    }
  }

  static void threads() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(20);
    List<Future<Boolean>> results = new ArrayList<>();
    for (int n = 0; n < 20; n++) {
      final int me = n;
      results.add(pool.submit(() -> {
        try (Connection c = connect()) {
          for (int i = 0; i < 20; i++) {
            try (PreparedStatement s = c.prepareStatement(me % 2 == 0 ? "select ?::int, 'even'" : "select 'odd', ?::int")) {
              s.setInt(1, me * 100 + i);
              try (ResultSet r = s.executeQuery()) {
                r.next();
                if (r.getInt(me % 2 == 0 ? 1 : 2) != me * 100 + i) return false;
              }
            }
          }
        }
        return true;
      }));
    }
    for (Future<Boolean> result : results) say(result.get());
    pool.shutdown();
  }

  static void copy() throws Exception {
    try (Connection c = connect()) {
      attempt(c, "drop table if exists jdbc_copy");
      attempt(c, "create table jdbc_copy (a int, b text)");
      org.postgresql.copy.CopyManager manager = c.unwrap(org.postgresql.PGConnection.class).getCopyAPI();
      StringBuilder rows = new StringBuilder();
      for (int i = 0; i < 2000; i++) rows.append(i).append("\tv\n");
      say(manager.copyIn("copy jdbc_copy from stdin", new java.io.StringReader(rows.toString())));
      try {
        manager.copyIn("copy jdbc_copy from stdin", new java.io.StringReader("x\ty\n"));
      } catch (SQLException e) {
        say("error", e.getSQLState());
      }
      java.io.StringWriter out = new java.io.StringWriter();
      say(manager.copyOut("copy (select * from jdbc_copy order by a limit 3) to stdout", out), out.toString());
      attempt(c, "drop table jdbc_copy");
    }
  }

  static void metadata() throws Exception {
    properties.setProperty("ApplicationName", "jdbc app");
    properties.setProperty("options", "-c statement_timeout=9s");
    try (Connection c = connect()) {
      DatabaseMetaData m = c.getMetaData();
      say(m.getDatabaseProductName(), m.getDatabaseProductVersion(), m.getUserName());
      try (ResultSet r = m.getTypeInfo()) {
        int n = 0;
        while (r.next()) n++;
        say(n > 10);
      }
      for (String name : new String[] {"statement_timeout", "DateStyle"}) {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("show " + name)) {
          r.next();
          say(name, r.getString(1));
        }
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    url = arguments[0];
    properties.setProperty("user", "postgres");
    properties.setProperty("password", "postgres");
    for (int i = 2; i < arguments.length; i++) {
      String[] pair = arguments[i].split("=", 2);
      properties.setProperty(pair[0], pair[1]);
    }
    for (String name : arguments[1].split(",")) {
      say("==", name);
      Cases.class.getDeclaredMethod(name).invoke(null);
    }
  }
}
