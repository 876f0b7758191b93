#include "auth/saslprep.h"

#include <gtest/gtest.h>

#include "auth/scram_keys.h"

namespace pgw::auth {
namespace {

TEST(Saslprep, Examples) {  // RFC 4013 section 3
  EXPECT_EQ(saslprep("I\302\255X"), "IX");
  EXPECT_EQ(saslprep("user"), "user");
  EXPECT_EQ(saslprep("USER"), "USER");
  EXPECT_EQ(saslprep("\302\252"), "a");
  EXPECT_EQ(saslprep("\342\205\250"), "IX");
  EXPECT_EQ(saslprep("\007"), "\007");            // prohibited: as it is
  EXPECT_EQ(saslprep("\330\2471"), "\330\2471");  // bidirectional check: as it is
  EXPECT_EQ(saslprep(""), "");
}

TEST(Saslprep, WhatIsNotUtf8StaysAsItIs) {
  for (const char* text : {"\377", "a\200", "\303", "\300\200", "\355\240\200", "\364\220\200\200",
                           "p\344ss", "\360\237\230", "\302\255\377"})
    EXPECT_EQ(saslprep(text), text);
  const std::string with_zero("\302\255\0x", 4);
  EXPECT_EQ(saslprep(with_zero), with_zero);
}

struct Row {
  std::string_view password;
  std::string_view verifier;
};

// Made by PostgreSQL 15 (CREATE ROLE ... PASSWORD): whether we prepare a password as it does.
constexpr Row kRows[] = {
    {"pencil",  // ASCII
     "SCRAM-SHA-256$4096:j+74L3YkyPQVYBgkpskxig==$"
     "/9lMy0Esp7xSUyFOTxz8o+jyS2rJpu8QdrWIVhuTwok=:"
     "W/m4GiJyitcFEzgrSQHRArJDX1wOv8x3utvfUJMa7eg="},
    {"I\302\255X",  // soft hyphen: gone (RFC 4013 section 3)
     "SCRAM-SHA-256$4096:1L+FmijQmzrwK0VgbsuvKg==$"
     "+q9N/rNEl1fPEp7RpjZ1l92y9bb7oLVh6vTnQyKDD0Q=:"
     "adFOQISHcxaZEm8ulK+1oKlrQxZUyhBv9nuGqdOuuuk="},
    {"a\302\240b",  // no-break space: a space
     "SCRAM-SHA-256$4096:8fzcc6s2h9BV3zTnmvSxWA==$"
     "0U9Sy99XXqpzMR+Qm6lU2d0W09qh/Zb0Sq2nWxGsYdc=:"
     "jEmbpkM3yNnnMnFprSLk6stqxJQwc4+pJ50NwVxAUZw="},
    {"\342\205\250",  // roman numeral nine: IX (RFC 4013 section 3)
     "SCRAM-SHA-256$4096:kqc+5wktqAnd8LFEOn8WWA==$"
     "nrvv+/xuM7tj96DHeO7eGjUuUWL5LO96ol06fjvp+p8=:"
     "lOp8kkvN+Of3eAuFKlrcwa9R7NhXG6poBr11icSUIVM="},
    {"\302\252",  // feminine ordinal: a (RFC 4013 section 3)
     "SCRAM-SHA-256$4096:j9tkKe9GNNw6Ebe+l2kc0Q==$"
     "c5IEVvqnFDQcewkgR87TPNiyGmIk3krMfegKkJlTioc=:"
     "a41kcecIbT6EOIA0faxWQOLuBpZ+T06L0ifAXJhbX8c="},
    {"a\007b",  // an ASCII control: kept, for ASCII is not looked at
     "SCRAM-SHA-256$4096:shigDAmtdxR0XJvLyfEMRA==$"
     "Aj4xCL7QW2wF6MgVhBr4PCZVqb4USHN+V6uVRX8v7aM=:"
     "7D5o5H/FNr8cRfi4e7MqgPMwYQa3OTebIGLcKuuBMrE="},
    {"\330\2471",  // fails the bidirectional check: kept
     "SCRAM-SHA-256$4096:R1tVTE2vhoSd8d7sv18q7w==$"
     "32oWfmqtYuKRyexIpxjPvEVkPF1vJx7uexvkLnTMxZc=:"
     "UkVNhZlCOtAGcU3lUy95PiKLS5Lw1nTh+apeFoUxZHM="},
    {"a\302\205b",  // a prohibited control: kept
     "SCRAM-SHA-256$4096:ThMne+N62BjtNkLwtMQD/Q==$"
     "sXK9PgxN3y6eWAph0LFohKUmq+Zyz7kKWg9SLTDduFI=:"
     "yyegOVtEf8Vfm3mLlyV6gv49ZzTeVvrZv2tKXCEYKMc="},
    {"a\315\270b",  // unassigned in Unicode 3.2: kept
     "SCRAM-SHA-256$4096:eEiH85Wgf/+RoGhREwzwjg==$"
     "8o07HMvX32SsFErAkS7pHHdeUv/ngVBuiNSF16BsBL4=:"
     "N6MDXGcGkilTdcsGr1F+U0drOlk/Min2w2moSNzRF4E="},
    {"a\342\200\213b",  // zero width space: a space, not nothing
     "SCRAM-SHA-256$4096:66aZNRD9Pdt+mHQSzaPybw==$"
     "ADAGp3+EUB4wqrVOrIihFetLuXMg/RH6QkFiPqmmrhs=:"
     "9JqZDmlGHwM7o49A+K7jVgRh06mGa/D/2eTVOAn/Xv8="},
    {"\330\247b\330\250",  // left-to-right inside right-to-left: kept
     "SCRAM-SHA-256$4096:8sP6gh3gbu6/Fs7XTnwDJw==$"
     "xcG32gqu7gKi5ker9NA0NUjSRm3d56qkmAYQtXxA9SE=:"
     "72Pj/DJ8FVMe9c0iLYgrltim6QfPgtb3nTKHz8H2+zQ="},
    {"\357\254\201x",  // ligature fi
     "SCRAM-SHA-256$4096:0cTpuD9X+ggf0pidTsn7rw==$"
     "jqMUspoEyvw2mNGy3ROO+kWdzEoJILznzrj0WC33ENk=:"
     "ZgnLdFpCykPhpkv16XDK/64qyys5Zto9xrdlmcORDF0="},
    {"e\314\201",  // e and a combining acute: one letter
     "SCRAM-SHA-256$4096:ZiCQ/dkMZ6PYNNQ7tO6VIA==$"
     "7eJd2aq6lRVlnWh2KwRvZYNrTchzbJ8iRxfi/Ab28nc=:"
     "dCUrpCc8MCgpNyP+Vo6o9a45R5ddvM5DwqtsM80unos="},
    {"p\360\237\230\200",  // unassigned in Unicode 3.2: kept
     "SCRAM-SHA-256$4096:XguPmijo4gz/uMVxrUS3qw==$"
     "LTMtncGqEesfojb1uP/KIB8oN+Oob52WOryx+FvGPvs=:"
     "+INZNXf8vla11W3JbwUbuvBqk3s1Z/oFlI9BH2OGCjE="},
    {"\302\255",  // nothing is left: kept
     "SCRAM-SHA-256$4096:hA2kTIX1WEFUxsMT4A9Tqg==$"
     "P1Q0ZnaezQyqmKIke2TJUc5Q85zRIoxeqiy4bKNNykk=:"
     "I9DsUgBFnfTmCnsv9wGTUusww0/K3o9nJVkHZEaUDTw="},
    {"\341\204\200\341\205\241",  // jamo are composed
     "SCRAM-SHA-256$4096:TxwOOSUywdl4EcQs/3HA+g==$"
     "O5eTmIdQ+MsyTilQ/4lZZGb7bXSQ9PoAYSkeFshAhFg=:"
     "9bSTnKZUVl02aacuvxZQ4MVjsai7zMxFgeh2hYjmb0A="},
    {"a\363\240\200\201",  // a tag character: prohibited, kept
     "SCRAM-SHA-256$4096:2C9663sHFwd6H3xtmb66MA==$"
     "pmTcQ4SA+fbYvo7LnJpysloa0iTxgDNTxyDp4JuxAWc=:"
     "3vlpXB1y7hYUyYPosJHRq+Eefes8KS+jUPDJUomGeWU="},
    {"\330\2471\330\250",  // right-to-left all through
     "SCRAM-SHA-256$4096:Rg34KC1DthtTROuzKUJmaA==$"
     "dvdgB+w15q8Sip6o63zbYLJvNdf+e2vMuI2owh3WMNw=:"
     "/GeEp1IM8nnKs4ZhH46H8KT36odOomM9Gvq+Uni4m1A="},
    {"sm\303\270rrebr\303\270d",  // nothing to do
     "SCRAM-SHA-256$4096:zgS3NWsABwoxOumZw4KbAQ==$"
     "tCKkTtwb73WS9sMV4dN9Y7MEKydgKVCk0qHgYEYfqB8=:"
     "jrqygzuTkQCIDaWP2BOSYkG5LXs4Ctv90UaP4Xc2Y2M="},
    {"a\343\200\200b",  // ideographic space: a space
     "SCRAM-SHA-256$4096:0ZxB91PPw++Q6/KkVWnFFw==$"
     "7NkHIrT6oS5i1hR/Cno/oipn6VDt6aM79iHxo0iLmK4=:"
     "fL11LTHKnU2M6206u4lB2FrUMRybh7ysGEp0p+rAGhU="},
    {"a\342\200\215b",  // zero width joiner: gone
     "SCRAM-SHA-256$4096:67e3WyX5GK9uSWmHfOdwug==$"
     "dMxs/FkKF5A0dtyOPaBZEV3ntsFV7ZJvQ65vN/Cque8=:"
     "QQUoK7L9FQUbk8A2uRFp11iNAb83d0Mq6ZYlTQLGhPc="},
    {"a\356\200\200b",  // private use: prohibited, kept
     "SCRAM-SHA-256$4096:bfQYOtrhKff0aGigpgHs0w==$"
     "VJmmrJu7Oi5RwTm/eARbncqnHsSH3VVIrEQA9oRy/SY=:"
     "YxG6ZiBUTvmjqR2atS+oa9awyXCW63bNDX5q5wtmzFo="},
};

TEST(Saslprep, AgreesWithPostgresql) {
  for (const auto& [password, text] : kRows) {
    const auto verifier = parse_verifier(text);
    ASSERT_TRUE(verifier) << text;
    EXPECT_EQ(verifier_of(derive(password, verifier->challenge)), *verifier)
        << "password " << testing::PrintToString(password);
    EXPECT_EQ(to_text(*verifier), text);
  }
}

}  // namespace
}  // namespace pgw::auth
