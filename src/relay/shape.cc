#include "relay/shape.h"

#include <functional>
#include <string>
#include <string_view>

#include "wire/read.h"

namespace pgw::relay {

std::uint64_t shape_of(Bytes parameters, Bytes columns) {
  std::string all(parameters);
  if (!columns.empty()) {
    wire::Reader reader(columns);
    const unsigned count = reader.u16();
    for (unsigned i = 0; i < count && reader.ok(); ++i) {
      all += reader.text();
      all += '\0';
      reader.take(6);         // where the column comes from: a table and its column's number
      all += reader.take(4);  // the type's object id
      reader.take(2);         // the type's size, which belongs to the type
      all += reader.take(4);  // the type modifier
      reader.take(2);         // the format, which is not known yet
    }
    if (!reader.done()) return 0;
  }
  const std::uint64_t hash = std::hash<std::string_view>()(all);
  return hash == 0 ? 1 : hash;
}

}  // namespace pgw::relay
