#include "relay/pipeline.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "relay/pipeline_fixture.h"

namespace pgw::relay {
namespace {

TEST(Pipeline, BeginsQuiet) {
  Bench b;
  EXPECT_TRUE(b.line.empty());
  EXPECT_TRUE(b.line.quiet());
  EXPECT_TRUE(b.line.synced());
  EXPECT_FALSE(b.line.skipping());
  EXPECT_FALSE(b.line.copying_in());
  EXPECT_EQ(b.line.groups(), 0u);
  EXPECT_EQ(b.line.front(), nullptr);
  EXPECT_EQ(b.invented(), 0);
}

TEST(Pipeline, SimpleQuery) {
  Bench b;
  b.push(Want::query, kOp, 'q');
  EXPECT_EQ(b.line.groups(), 1u);
  EXPECT_FALSE(b.line.quiet());
  EXPECT_TRUE(b.line.synced());
  b.replies("TDDCNSAIC");
  EXPECT_EQ(b.order, "");
  const auto end = b.reply('Z');
  EXPECT_TRUE(end.ready);
  EXPECT_TRUE(end.forward);
  EXPECT_EQ(b.happened, "q");
  EXPECT_TRUE(b.line.quiet());
  EXPECT_EQ(b.line.groups(), 0u);
}

TEST(Pipeline, ExtendedQuery) {
  Bench b;
  b.push(Want::parse, kOp, 'p');
  b.push(Want::bind);
  b.push(Want::describe_portal);
  b.push(Want::execute, kOp, 'e');
  b.push(Want::close, kOp, 'c');
  EXPECT_FALSE(b.line.synced());
  EXPECT_EQ(b.line.groups(), 0u);
  EXPECT_TRUE(b.line.push_sync());
  EXPECT_TRUE(b.line.synced());
  EXPECT_EQ(b.line.groups(), 1u);
  const std::pair<char, std::size_t> left[] = {{'1', 5}, {'2', 4}, {'T', 3}, {'D', 3},
                                               {'C', 2}, {'3', 1}, {'Z', 0}};
  for (const auto& [tag, size] : left) {
    b.replies(std::string_view(&tag, 1));
    EXPECT_EQ(b.line.size(), size) << tag;
  }
  EXPECT_EQ(b.happened, "pec");
  EXPECT_TRUE(b.line.quiet());
}

TEST(Pipeline, DescribesEndWithRowsOrNone) {
  for (const char end : {'T', 'n'}) {
    Bench b;
    b.push(Want::describe_statement);
    b.push(Want::describe_portal);
    b.replies("t");
    EXPECT_EQ(b.line.size(), 2u);
    b.replies(std::string_view(&end, 1));
    EXPECT_EQ(b.line.size(), 1u);
    EXPECT_FALSE(b.reply('t').known);
    b.replies(std::string_view(&end, 1));
    EXPECT_TRUE(b.line.empty());
  }
}

TEST(Pipeline, ExecuteEndsInThreeWays) {
  for (const char end : {'C', 'I', 's'}) {
    Bench b;
    b.push(Want::execute);
    b.replies(std::string{'D', end});
    EXPECT_TRUE(b.line.empty()) << end;
  }
}

TEST(Pipeline, FunctionCall) {
  Bench b;
  b.push(Want::function);
  EXPECT_EQ(b.line.groups(), 1u);
  b.replies("VZ");
  EXPECT_TRUE(b.line.quiet());
}

// Nothing is owed, but the server is inside an implicit transaction.
TEST(Pipeline, EmptyIsNotQuietBeforeSync) {
  Bench b;
  b.push(Want::parse);
  b.replies("1");
  EXPECT_TRUE(b.line.empty());
  EXPECT_FALSE(b.line.quiet());
  EXPECT_FALSE(b.line.synced());
  EXPECT_FALSE(b.line.skipping());
  b.line.push_sync();
  EXPECT_TRUE(b.line.synced());
  EXPECT_FALSE(b.line.quiet());
  b.replies("Z");
  EXPECT_TRUE(b.line.quiet());
}

// Also a Query ends what was sent before it; what is sent after it is open again.
TEST(Pipeline, SyncedFollowsTheLastMessage) {
  Bench b;
  b.push(Want::parse);
  b.push(Want::query);
  EXPECT_TRUE(b.line.synced());
  b.push(Want::bind);
  EXPECT_FALSE(b.line.synced());
  b.replies("1CZ");
  EXPECT_FALSE(b.line.synced());
  b.push(Want::function);
  EXPECT_TRUE(b.line.synced());
}

TEST(Pipeline, GroupsCountReadyForQueryOwed) {
  Bench b;
  b.push(Want::query);
  b.push(Want::parse);
  EXPECT_EQ(b.line.groups(), 1u);
  b.line.push_sync();
  b.line.push_sync();
  b.push(Want::function);
  EXPECT_EQ(b.line.groups(), 4u);
  b.replies("CZ");
  EXPECT_EQ(b.line.groups(), 3u);
  b.replies("1Z");
  EXPECT_EQ(b.line.groups(), 2u);
  b.replies("Z");
  b.replies("VZ");
  EXPECT_EQ(b.line.groups(), 0u);
}

// --- errors

TEST(PipelineErrors, SkipToTheNextSync) {
  Bench b;
  b.push(Want::parse, kOp, 'a');
  b.push(Want::parse, kOp, 'b');
  b.push(Want::close, kOp, 'c');
  b.push(Want::parse, Expected::server_op, 'd');
  b.line.push_sync();
  b.push(Want::parse, kOp, 'e');
  b.line.push_sync();
  b.replies("1E");
  EXPECT_EQ(b.happened, "a");
  EXPECT_EQ(b.failed, "b");
  EXPECT_EQ(b.skipped, "cd");
  EXPECT_EQ(b.order, "abcd");
  ASSERT_NE(b.line.front(), nullptr);
  EXPECT_EQ(b.line.front()->want, Want::sync);
  EXPECT_FALSE(b.line.skipping());
  EXPECT_EQ(b.line.groups(), 2u);
  b.replies("Z1Z");
  EXPECT_EQ(b.happened, "ae");
  EXPECT_TRUE(b.line.quiet());
}

// Entries without an op are nobody's affair.
TEST(PipelineErrors, OnlyOpsAreSettled) {
  Bench b;
  b.push(Want::bind, 0, 'x');
  b.push(Want::execute, Expected::renamed | Expected::mild_set | Expected::resets, 'y');
  b.line.push_sync();
  b.replies("EZ");
  EXPECT_EQ(b.order, "");
}

// "Extended Query": messages are discarded until Sync, and a simple Query is a message.
TEST(PipelineErrors, SkipASimpleQueryToo) {
  Bench b;
  b.push(Want::bind, kOp, 'b');
  b.push(Want::query, kOp, 'q');
  b.push(Want::function, kOp, 'f');
  b.push(Want::parse, kOp, 'p');
  EXPECT_EQ(b.line.groups(), 2u);
  b.line.push_sync();
  b.replies("E");
  EXPECT_EQ(b.failed, "b");
  EXPECT_EQ(b.skipped, "qfp");
  EXPECT_EQ(b.line.groups(), 1u);
  EXPECT_EQ(b.line.size(), 1u);
  b.replies("Z");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineErrors, WithNothingBehindTheServerWaitsForSync) {
  for (const bool query_behind : {false, true}) {
    Bench b;
    b.push(Want::bind);
    if (query_behind) b.push(Want::query);
    b.replies("E");
    EXPECT_TRUE(b.line.empty());
    EXPECT_TRUE(b.line.skipping());
    EXPECT_FALSE(b.line.synced());
    EXPECT_FALSE(b.line.quiet());
    EXPECT_EQ(b.line.groups(), 0u);
    EXPECT_TRUE(b.line.push_sync());
    EXPECT_FALSE(b.line.skipping());
    EXPECT_TRUE(b.line.synced());
    EXPECT_EQ(b.line.groups(), 1u);
    b.replies("Z");
    EXPECT_TRUE(b.line.quiet());
  }
}

TEST(PipelineErrors, BehindTheSyncMayBeOpen) {
  Bench b;
  b.push(Want::parse);
  b.line.push_sync();
  b.push(Want::parse);
  b.replies("EZ");
  EXPECT_FALSE(b.line.skipping());
  EXPECT_FALSE(b.line.synced());
  b.replies("1");
  EXPECT_TRUE(b.line.empty());
  EXPECT_FALSE(b.line.quiet());
}

TEST(PipelineErrors, OfASimpleQueryLeaveItsReadyToCome) {
  Bench b;
  b.push(Want::query, kOp, 'q');
  b.push(Want::query, kOp, 'r');
  b.replies("TDE");
  EXPECT_EQ(b.order, "");
  ASSERT_NE(b.line.front(), nullptr);
  EXPECT_TRUE(b.line.front()->has(Expected::refused));
  EXPECT_EQ(b.line.size(), 2u);
  EXPECT_FALSE(b.line.skipping());
  b.replies("Z");
  EXPECT_EQ(b.failed, "q");
  b.replies("CZ");
  EXPECT_EQ(b.happened, "r");
  EXPECT_TRUE(b.line.quiet());
}

// A deferred constraint fails at Sync: all before it was answered with success.
TEST(PipelineErrors, AtSync) {
  Bench b;
  b.push(Want::execute, kOp, 'e');
  b.line.push_sync();
  b.push(Want::parse, kOp, 'p');
  b.replies("CE");
  EXPECT_EQ(b.line.size(), 2u);
  EXPECT_EQ(b.order, "e");
  EXPECT_TRUE(b.reply('Z').ready);
  b.replies("1");
  EXPECT_EQ(b.happened, "ep");
}

TEST(PipelineErrors, UnaskedWhenNothingIsOwed) {
  Bench b;
  auto verdict = b.reply('E');
  EXPECT_TRUE(verdict.known);
  EXPECT_TRUE(verdict.unasked);
  EXPECT_TRUE(verdict.forward);
  EXPECT_FALSE(b.line.skipping());
  EXPECT_TRUE(b.line.quiet());
  b.push(Want::query);
  EXPECT_FALSE(b.reply('E').unasked);
}

// --- ours

TEST(PipelineOurs, RepliesAreForNobodyElse) {
  Bench b;
  b.push(Want::parse, Expected::ours | Expected::server_op, 'p');
  b.push(Want::bind);
  b.line.push_sync();
  auto verdict = b.reply('1');
  EXPECT_TRUE(verdict.known);
  EXPECT_FALSE(verdict.forward);
  EXPECT_TRUE(verdict.entry.has(Expected::ours));
  EXPECT_EQ(b.happened, "p");
  b.replies("2Z");
}

TEST(PipelineOurs, AReadyIsTakenAndKept) {
  Bench b;
  b.push(Want::query, Expected::ours);
  for (const char tag : {'T', 'D', 'C', 'S', 'N'}) EXPECT_FALSE(b.reply(tag).forward) << tag;
  const auto verdict = b.reply('Z');
  EXPECT_FALSE(verdict.forward);
  EXPECT_TRUE(verdict.ready);
}

// Our Parse stands for the client's message, which is then skipped: the error is its answer.
TEST(PipelineOurs, ErrorsAnswerTheClientUnlessQuiet) {
  Bench b;
  b.push(Want::parse, Expected::ours | Expected::server_op, 'p');
  b.push(Want::bind, kOp, 'b');
  b.line.push_sync();
  auto verdict = b.reply('E');
  EXPECT_TRUE(verdict.forward);
  EXPECT_FALSE(verdict.quiet_error);
  EXPECT_EQ(b.failed, "p");
  EXPECT_EQ(b.skipped, "b");

  Bench c;
  c.push(Want::query, Expected::ours | Expected::quiet);
  verdict = c.reply('E');
  EXPECT_FALSE(verdict.forward);
  EXPECT_TRUE(verdict.quiet_error);
  EXPECT_TRUE(verdict.entry.has(Expected::quiet));
  EXPECT_FALSE(c.reply('Z').forward);
}

// --- answers of our own

TEST(PipelineInvent, KeepsItsTurn) {
  Bench b;
  b.push(Want::parse, kOp, 'p');
  b.push(Want::invent, kOp, '1');
  b.push(Want::invent, kOp, '3');
  b.push(Want::bind);
  b.push(Want::invent, 0, '3');
  b.line.push_sync();
  EXPECT_EQ(b.invented(), 0);
  b.replies("1");
  EXPECT_EQ(b.invented(), '1');
  EXPECT_EQ(b.invented(), '3');
  EXPECT_EQ(b.invented(), 0);
  EXPECT_EQ(b.happened, "p13");
  b.replies("2");
  EXPECT_EQ(b.invented(), '3');
  EXPECT_EQ(b.happened, "p13");
  b.replies("Z");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineInvent, NeedsNoSync) {
  Bench b;
  b.push(Want::invent, 0, '1');
  EXPECT_TRUE(b.line.synced());
  EXPECT_FALSE(b.line.quiet());
  EXPECT_EQ(b.invented(), '1');
  EXPECT_TRUE(b.line.quiet());
  b.push(Want::parse);
  b.push(Want::invent, 0, '1');
  EXPECT_FALSE(b.line.synced());
}

TEST(PipelineInvent, IsSkippedWithItsGroup) {
  Bench b;
  b.push(Want::bind);
  b.push(Want::invent, kOp, '3');
  b.line.push_sync();
  b.push(Want::invent, kOp, '1');
  b.replies("E");
  EXPECT_EQ(b.skipped, "3");
  EXPECT_EQ(b.invented(), 0);
  b.replies("Z");
  EXPECT_EQ(b.invented(), '1');
}

// --- the rest

TEST(Pipeline, AbandonSkipsEverything) {
  Bench b;
  b.push(Want::execute, kOp, 'e');
  b.replies("G");
  b.push(Want::parse, Expected::server_op, 'p');
  b.push(Want::invent, kOp, '3');
  b.line.push_sync();
  b.line.abandon(b);
  EXPECT_EQ(b.skipped, "ep3");
  EXPECT_TRUE(b.line.quiet());
  EXPECT_FALSE(b.line.copying_in());
  EXPECT_FALSE(b.line.skipping());
  EXPECT_EQ(b.line.groups(), 0u);
}

TEST(Pipeline, NoticesAndTheLikeMayComeAtAnyTime) {
  Bench b;
  for (const char tag : {'N', 'A', 'S'}) {
    const auto verdict = b.reply(tag);
    EXPECT_TRUE(verdict.known) << tag;
    EXPECT_TRUE(verdict.forward) << tag;
  }
  b.push(Want::execute);
  b.replies("NAS");
  EXPECT_EQ(b.line.size(), 1u);
}

TEST(Pipeline, NothingElseIsKnownWhenNothingIsOwed) {
  for (int tag = 0; tag < 256; ++tag) {
    const char c = static_cast<char>(tag);
    if (std::string_view("NASE").contains(c)) continue;
    Bench b;
    const auto verdict = b.reply(c);
    EXPECT_FALSE(verdict.known) << tag;
    EXPECT_FALSE(verdict.forward) << tag;
  }
}

// For each kind of message, every reply that PostgreSQL may give to it, and no other.
TEST(Pipeline, ReplyMustFitTheMessage) {
  const std::pair<Want, std::string_view> table[] = {
      {Want::parse, "1"},
      {Want::bind, "2"},
      {Want::close, "3"},
      {Want::describe_statement, "tTn"},
      {Want::describe_portal, "Tn"},
      {Want::execute, "CIs"},
      {Want::query, "CIZ"},
      {Want::function, "Z"},
      {Want::sync, "Z"},
  };
  for (const auto& [want, fitting] : table) {
    for (const char tag : std::string_view("123tnCIsZWRKv\0xX", 16)) {
      Bench b;
      b.push(want);
      EXPECT_EQ(b.reply(tag).known, fitting.contains(tag)) << static_cast<int>(want) << " " << tag;
    }
  }
}

}  // namespace
}  // namespace pgw::relay
