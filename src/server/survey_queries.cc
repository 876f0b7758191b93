#include "server/survey_queries.h"

#include <fmt/format.h>

namespace pgw::server {
namespace {

// One query string is one transaction, so what is SET LOCAL ends with it, also when it fails.
// Temporary tables come last: a client's own must not stand for a catalog.
constexpr std::string_view kBegin =
    "/* pgweir: what may functions leave in a session? */ "
    "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = 2000; "
    "SET LOCAL lock_timeout = 200; ";

// Names and bodies come in the database's encoding whatever the client's is, and in ASCII.
std::string text(std::string_view what) {
  return fmt::format("encode(convert_to({}, getdatabaseencoding()), 'escape')", what);
}

// Objects from before the database was first used are PostgreSQL's own.
std::string sum_of(std::string_view catalog, std::string_view what, std::string_view where) {
  return fmt::format(
      ", (SELECT concat(count(*), ':', sum(hashtext(concat({}))::bigint)) FROM {} WHERE {})", what,
      catalog, where);
}

struct Tree {
  std::string_view catalog;
  std::string_view oid;
  std::string_view trees;  // concatenated
  std::string_view text;
};
constexpr Tree kTrees[] = {
    {"pg_rewrite", "oid", "ev_action, ev_qual", "pg_get_ruledef(oid)"},
    {"pg_attrdef", "oid", "adbin", "pg_get_expr(adbin, adrelid)"},
    {"pg_policy", "oid", "polqual, polwithcheck",
     "concat(pg_get_expr(polqual, polrelid), ' ', pg_get_expr(polwithcheck, polrelid))"},
    {"pg_constraint", "oid", "conbin", "pg_get_constraintdef(oid)"},
    {"pg_type", "oid", "typdefaultbin", "pg_get_expr(typdefaultbin, 0)"},
    {"pg_trigger", "oid", "tgqual", "pg_get_triggerdef(oid)"},
    {"pg_index", "indexrelid", "indexprs, indpred", "pg_get_indexdef(indexrelid)"},
    {"pg_partitioned_table", "partrelid", "partexprs", "pg_get_partkeydef(partrelid)"},
    {"pg_proc", "oid", "proargdefaults", "pg_get_functiondef(oid)"},
};

std::string tree_query(const Tree& tree, std::string_view trees, std::size_t most) {
  // Of an index and a partition key the object is the relation.
  const auto catalog = tree.oid == "oid" ? tree.catalog : std::string_view("pg_class");
  return fmt::format(
      " UNION ALL SELECT 'tree', {0}::text, '{1}'::regclass::oid::text, '', CASE WHEN"
      " octet_length({2}) <= {3} THEN {4} END FROM {5}"
      " WHERE {0} >= 16384 AND concat({6}) ~ (SELECT pattern FROM danger)",
      tree.oid, catalog, tree.text, most, text(tree.text), tree.catalog, trees);
}

}  // namespace

std::string mark_query() {
  std::string out(kBegin);
  out += "SELECT 'mark', '', '', '', concat_ws(' '";
  constexpr std::string_view kRow = "oid, ' ', xmin";
  constexpr std::string_view kMade = "oid >= 16384";
  for (const std::string_view catalog :
       {"pg_proc", "pg_trigger", "pg_rewrite", "pg_attrdef", "pg_constraint", "pg_policy",
        "pg_event_trigger", "pg_operator", "pg_cast"})
    out += sum_of(catalog, kRow, kMade);
  out += sum_of("pg_type", kRow, "oid >= 16384 AND typtype = 'd'");
  out += sum_of("pg_class", "oid, ' ', relname",
                "oid >= 16384 AND relkind IN ('r', 'v', 'm', 'p', 'f') AND relpersistence <> 't'");
  out += sum_of("pg_index", "indexrelid, ' ', xmin",
                "indexrelid >= 16384 AND (indexprs IS NOT NULL OR indpred IS NOT NULL)");
  out += sum_of("pg_inherits", "inhrelid, ' ', inhparent", "true");
  return out + ")";
}

std::string reading_query(int major, std::size_t routines_most, std::size_t body_most) {
  std::string out(kBegin);
  out +=
      "WITH danger AS (SELECT concat(':(relid ', 'pg_prepared_statements'::regclass::oid,"
      " '|funcid (', string_agg(oid::text, '|'), ')) ') AS pattern"
      " FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname IN"
      " ('set_config', 'setseed', 'currval', 'lastval', 'ts_stat', 'ts_rewrite',"
      " 'pg_prepared_statement', 'pg_listening_channels') OR proname ~"
      " '^(query_to_xml|pg_(try_)?advisory_(un)?lock|pg_.*_replication_slot|"
      "pg_replication_origin_session)'))";
  // Those of extensions that are written in C are known by name.
  out += fmt::format(
      " (SELECT 'routine', p.oid::text, l.lanname::text, {}, CASE WHEN octet_length(prosrc) <= {}"
      " THEN {} END FROM pg_proc p JOIN pg_language l ON l.oid = prolang"
      " WHERE p.oid >= 16384 AND lanname <> 'internal' AND (lanname <> 'c' OR proname ~"
      " '^(dblink_connect|crosstab|connectby$|xpath_table$|set_limit$|set_user$|reset_user$|"
      "set_session_auth$)') LIMIT {})",
      text("proname::text"), body_most, text("prosrc"), routines_most + 1);
  for (const Tree& tree : kTrees) {
    const bool body = tree.catalog == "pg_proc" && major >= 14;
    out += tree_query(tree, body ? "proargdefaults, prosqlbody" : tree.trees, body_most);
  }
  return out;
}

std::string reach_query(const std::string& seeds) {
  std::string out(kBegin);
  // What depends on a function or a type, and what it belongs to: the table of a trigger, rule,
  // default, policy, constraint or index, the parent of a partition, and what is referenced by a
  // table that is changed with it.
  out += fmt::format(
      "WITH RECURSIVE reach(class, id, marks) AS ("
      "SELECT s.class::oid, s.id::oid, s.marks FROM (VALUES {}) s (class, id, marks)"
      " UNION SELECT x.class, x.id, r.marks FROM reach r CROSS JOIN LATERAL ("
      "SELECT classid, objid FROM pg_depend WHERE refclassid = r.class AND refobjid = r.id"
      " AND (r.class <> 'pg_class'::regclass OR classid IN ('pg_rewrite'::regclass,"
      " 'pg_proc'::regclass, 'pg_class'::regclass, 'pg_policy'::regclass)"
      " OR (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_class c WHERE c.oid = r.id"
      " AND c.relkind = 'c')))"
      " UNION ALL SELECT 'pg_class'::regclass, tgrelid FROM pg_trigger"
      " WHERE r.class = 'pg_trigger'::regclass AND oid = r.id"
      " UNION ALL SELECT 'pg_class'::regclass, ev_class FROM pg_rewrite"
      " WHERE r.class = 'pg_rewrite'::regclass AND oid = r.id"
      " UNION ALL SELECT 'pg_class'::regclass, adrelid FROM pg_attrdef"
      " WHERE r.class = 'pg_attrdef'::regclass AND oid = r.id"
      " UNION ALL SELECT 'pg_class'::regclass, polrelid FROM pg_policy"
      " WHERE r.class = 'pg_policy'::regclass AND oid = r.id"
      " UNION ALL SELECT CASE WHEN contypid = 0 THEN 'pg_class'::regclass ELSE 'pg_type'::regclass"
      " END, CASE WHEN contypid = 0 THEN conrelid ELSE contypid END FROM pg_constraint"
      " WHERE r.class = 'pg_constraint'::regclass AND oid = r.id"
      " UNION ALL SELECT 'pg_class'::regclass, indrelid FROM pg_index"
      " WHERE r.class = 'pg_class'::regclass AND indexrelid = r.id"
      " UNION ALL SELECT 'pg_class'::regclass, inhparent FROM pg_inherits"
      " WHERE r.class = 'pg_class'::regclass AND inhrelid = r.id"
      " UNION ALL SELECT 'pg_class'::regclass, confrelid FROM pg_constraint"
      " WHERE r.class = 'pg_class'::regclass AND conrelid = r.id AND contype = 'f'"
      " AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))"
      ") x (class, id))",
      seeds);
  out += fmt::format(
      " SELECT 'name', '0', marks::text, {}, '' FROM reach JOIN pg_class c ON c.oid = id"
      " WHERE class = 'pg_class'::regclass AND relkind IN ('r', 'v', 'm', 'p', 'f')"
      " UNION SELECT 'name', p.oid::text, marks::text, {}, '' FROM reach JOIN pg_proc p"
      " ON p.oid = id WHERE class = 'pg_proc'::regclass"
      " UNION SELECT 'name', '0', marks::text, {}, '' FROM reach JOIN pg_type t ON t.oid = id"
      " WHERE class = 'pg_type'::regclass"
      " UNION SELECT 'event', '0', marks::text, '', '' FROM reach"
      " WHERE class = 'pg_event_trigger'::regclass",
      text("relname::text"), text("proname::text"), text("typname::text"));
  // Operators, casts and the like have no name in the text that calls them.
  out +=
      " UNION SELECT 'all', '0', marks::text, class::regclass::text, '' FROM reach"
      " WHERE class::regclass::text IN ('pg_operator', 'pg_cast', 'pg_opclass', 'pg_opfamily',"
      " 'pg_amop', 'pg_amproc', 'pg_conversion', 'pg_am', 'pg_transform', 'pg_language',"
      " 'pg_ts_parser', 'pg_ts_template', 'pg_foreign_data_wrapper')";
  return out;
}

}  // namespace pgw::server
