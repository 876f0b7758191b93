// pgweir: a PostgreSQL connection pooler.
#include <cstdio>

#include "daemon/cli.h"
#include "daemon/process.h"

int main(int argc, char** argv) {
  const auto command = pgw::daemon::parse_command_line(argc, argv);
  if (command.kind == pgw::daemon::Command::Kind::serve) return pgw::daemon::serve(command);
  std::fputs(command.text.c_str(), command.exit_code == 0 ? stdout : stderr);
  return command.exit_code;
}
