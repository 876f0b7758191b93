#include "relay/suspects.h"

#include <algorithm>
#include <array>

namespace pgw::relay {
namespace {

// What a byte is in a word: itself in lower case, or 0.
constexpr auto kFold = [] {
  std::array<char, 256> out{};
  for (int c = 'a'; c <= 'z'; ++c) out[static_cast<std::size_t>(c)] = static_cast<char>(c);
  for (int c = 'A'; c <= 'Z'; ++c) out[static_cast<std::size_t>(c)] = static_cast<char>(c + 32);
  for (int c = '0'; c <= '9'; ++c) out[static_cast<std::size_t>(c)] = static_cast<char>(c);
  out['_'] = '_';
  return out;
}();

constexpr std::uint8_t kStart = 1, kDigit = 2, kQuote = 4, kOther = 8;
constexpr auto kKinds = [] {
  std::array<std::uint8_t, 256> out{};
  for (std::size_t c = 0; c < 256; ++c)
    out[c] = c >= 0x80 ? kOther : kFold[c] == 0 ? 0 : c >= '0' && c <= '9' ? kDigit : kStart;
  out['"'] = kQuote;
  return out;
}();

char folded(char c) { return kFold[static_cast<unsigned char>(c)]; }
bool digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string_view Words::next() {
  for (; at_ < text_.size(); ++at_) {
    const char c = folded(text_[at_]);
    if (c != 0 && !digit(c)) break;
    odd_ |= static_cast<signed char>(text_[at_]) < 0;
    if (text_[at_] == '"') {
      quoted_ = true;
      escaped_ |= at_ >= 2 && text_[at_ - 1] == '&' && folded(text_[at_ - 2]) == 'u';
    }
  }
  std::size_t size = 0;
  for (; at_ < text_.size(); ++at_) {
    const char c = folded(text_[at_]);
    if (c == 0) break;
    if (size < kMost) word_[size++] = c;
  }
  return {word_, size};
}

std::uint32_t hash_of(std::string_view word) {
  std::uint32_t hash = 2166136261u;
  for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash ^ hash >> 15;
}

std::string key_of(std::string_view name) {
  Words words(name);
  std::string longest;
  for (auto word = words.next(); !word.empty(); word = words.next())
    if (word.size() > longest.size()) longest = word;
  if (words.odd()) return std::string(kOdd);
  return longest.empty() ? std::string(kQuoted) : longest;
}

void Suspects::add(std::string_view name, Marks marks) {
  if (marks == 0) return;
  all_ |= marks;
  std::string key = key_of(name);
  if (key == kOdd) {
    odd_ |= marks;
  } else if (key == kQuoted) {
    quoted_ |= marks;
  } else {
    lengths_[static_cast<unsigned char>(key[0])] |= std::uint64_t{1} << key.size();
    names_[std::move(key)] |= marks;
  }
}

Marks Suspects::found(std::string_view word) const {
  char lower[Words::kMost];
  std::ranges::transform(word, lower, folded);
  const auto at = names_.find(std::string_view(lower, word.size()));
  return at == names_.end() ? Marks{0} : at->second;
}

// The same words as those of Words, and most of them are only measured.
Marks Suspects::marks_in(std::string_view text) const {
  if (empty()) return 0;
  Marks out = 0;
  std::uint8_t others = 0;
  const std::size_t end = text.size();
  for (std::size_t at = 0; at < end;) {
    const auto kind = kKinds[static_cast<unsigned char>(text[at])];
    if ((kind & kStart) == 0) {
      others |= kind;
      if ((kind & kQuote) != 0 && at >= 2 && text[at - 1] == '&' && folded(text[at - 2]) == 'u')
        return all_;
      ++at;
      continue;
    }
    const std::size_t from = at++;
    while (at < end && (kKinds[static_cast<unsigned char>(text[at])] & (kStart | kDigit)) != 0)
      ++at;
    const std::size_t size = at - from;
    if (size > Words::kMost) return all_;
    if ((lengths_[static_cast<unsigned char>(folded(text[from]))] >> size & 1) != 0)
      out |= found(text.substr(from, size));
  }
  if ((others & kOther) != 0) out |= odd_;
  if ((others & kQuote) != 0) out |= quoted_;
  return out;
}

}  // namespace pgw::relay
