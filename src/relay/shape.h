// The shape of a prepared statement: what a client that has described it relies on, in one number.
// PostgreSQL compares the same before it runs an old plan ("cached plan must not change result
// type"). Pure.
#pragma once
#include <cstdint>

#include "base/bytes.h"

namespace pgw::relay {

// `parameters`: a ParameterDescription's body; `columns`: a RowDescription's, or nothing for
// NoData. Two shapes differ when a parameter's type, or a column's name, type or type modifier
// does. 0 when the bodies are not what they should be; never 0 otherwise.
std::uint64_t shape_of(Bytes parameters, Bytes columns);

}  // namespace pgw::relay
