// COPY as the pipeline sees it: "COPY Operations" in the protocol chapter.
#include <gtest/gtest.h>

#include "relay/pipeline.h"
#include "relay/pipeline_fixture.h"

namespace pgw::relay {
namespace {

TEST(PipelineCopy, InASimpleQuery) {
  Bench b;
  b.push(Want::query, kOp, 'q');
  b.replies("G");
  EXPECT_TRUE(b.line.copying_in());
  EXPECT_TRUE(b.line.synced());
  EXPECT_FALSE(b.line.push_sync());
  EXPECT_EQ(b.line.groups(), 1u);
  b.line.push_copy_end();
  EXPECT_FALSE(b.line.copying_in());
  EXPECT_TRUE(b.line.push_sync());
  b.replies("CZ");
  EXPECT_EQ(b.happened, "q");
  EXPECT_EQ(b.line.size(), 1u);
  b.replies("Z");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineCopy, ASyncBehindASimpleQueryIsIgnored) {
  Bench b;
  b.push(Want::query);
  b.line.push_sync();
  b.line.push_sync();
  EXPECT_EQ(b.line.groups(), 3u);
  b.replies("G");
  EXPECT_EQ(b.line.groups(), 1u);
  EXPECT_TRUE(b.line.copying_in());
  b.line.push_copy_end();
  b.replies("CZ");
  EXPECT_TRUE(b.line.quiet());
}

// The end may have been sent before the server has said that it wants data.
TEST(PipelineCopy, InASimpleQueryWithItsEndSentAhead) {
  Bench b;
  b.push(Want::query);
  b.line.push_copy_end();
  b.replies("G");
  EXPECT_FALSE(b.line.copying_in());
  EXPECT_TRUE(b.line.synced());
  b.replies("CZ");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineCopy, TwoInOneQuery) {
  Bench b;
  b.push(Want::query);
  b.replies("G");
  b.line.push_copy_end();
  b.replies("CG");
  EXPECT_TRUE(b.line.copying_in());
  EXPECT_FALSE(b.line.push_sync());
  b.line.push_copy_end();
  b.replies("CZ");
  EXPECT_TRUE(b.line.quiet());
  EXPECT_EQ(b.line.size(), 0u);
}

// "COPY Operations": the Sync that drivers send right behind Execute is ignored; another must
// follow CopyDone.
TEST(PipelineCopy, ASyncDirectlyBehindExecuteIsIgnored) {
  Bench b;
  b.push(Want::bind);
  b.push(Want::execute, kOp, 'e');
  b.line.push_sync();
  EXPECT_TRUE(b.line.synced());
  b.replies("2G");
  EXPECT_TRUE(b.line.copying_in());
  EXPECT_FALSE(b.line.synced());
  EXPECT_EQ(b.line.groups(), 0u);
  EXPECT_EQ(b.line.size(), 1u);
  EXPECT_FALSE(b.line.push_sync());
  b.line.push_copy_end();
  EXPECT_TRUE(b.line.push_sync());
  b.replies("CZ");
  EXPECT_EQ(b.happened, "e");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineCopy, InAnExtendedQueryWithAllSentAhead) {
  Bench b;
  b.push(Want::execute);
  b.line.push_copy_end();
  b.line.push_sync();
  b.replies("G");
  EXPECT_FALSE(b.line.copying_in());
  EXPECT_TRUE(b.line.synced());
  EXPECT_EQ(b.line.groups(), 1u);
  b.replies("CZ");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineCopy, WithoutASyncItLeavesTheGroupOpen) {
  Bench b;
  b.push(Want::execute);
  b.line.push_copy_end();
  b.replies("GC");
  EXPECT_TRUE(b.line.empty());
  EXPECT_FALSE(b.line.quiet());
}

TEST(PipelineCopy, AnErrorInAnExtendedQuerySkipsItsEnd) {
  for (const bool end_sent : {false, true}) {
    Bench b;
    b.push(Want::execute, kOp, 'e');
    b.replies("G");
    if (end_sent) b.line.push_copy_end();
    b.replies("E");
    EXPECT_EQ(b.failed, "e");
    EXPECT_FALSE(b.line.copying_in());
    EXPECT_TRUE(b.line.skipping());
    if (!end_sent) b.line.push_copy_end();  // it crosses the error on its way
    EXPECT_TRUE(b.line.empty());
    EXPECT_TRUE(b.line.push_sync());
    b.replies("Z");
    EXPECT_TRUE(b.line.quiet());
  }
}

TEST(PipelineCopy, AnErrorInASimpleQuery) {
  for (const bool end_sent : {false, true}) {
    Bench b;
    b.push(Want::query, kOp, 'q');
    b.replies("G");
    if (end_sent) b.line.push_copy_end();
    b.replies("E");
    EXPECT_FALSE(b.line.copying_in());
    if (!end_sent) b.line.push_copy_end();
    b.replies("Z");
    EXPECT_EQ(b.failed, "q");
    EXPECT_TRUE(b.line.quiet());
  }
}

// The COPY is refused before it begins: its end means nothing then, and is not waited for.
TEST(PipelineCopy, AnEndThatNoCopyWantsIsForgotten) {
  Bench b;
  b.push(Want::query);
  b.line.push_copy_end();
  b.push(Want::query);
  b.replies("EZ");
  EXPECT_EQ(b.line.size(), 1u);
  b.replies("CZ");
  EXPECT_TRUE(b.line.quiet());
  b.line.push_copy_end();
  EXPECT_TRUE(b.line.empty());
}

// Any message but Flush, Sync and the two ends makes the COPY fail.
TEST(PipelineCopy, OtherMessagesMakeItFail) {
  Bench b;
  b.push(Want::execute, kOp, 'e');
  b.replies("G");
  b.push(Want::parse, kOp, 'p');
  EXPECT_FALSE(b.line.copying_in());
  EXPECT_TRUE(b.line.push_sync());  // no longer inside COPY data: it ends the skipping
  b.replies("E");
  EXPECT_EQ(b.failed, "e");
  EXPECT_EQ(b.skipped, "p");
  b.replies("Z");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineCopy, OtherMessagesSentAheadMakeItFail) {
  Bench b;
  b.push(Want::execute, kOp, 'e');
  b.line.push_sync();
  b.push(Want::bind, kOp, 'b');
  b.line.push_sync();
  b.replies("G");
  EXPECT_FALSE(b.line.copying_in());
  EXPECT_EQ(b.line.groups(), 1u);
  EXPECT_TRUE(b.line.synced());
  b.replies("EZ");
  EXPECT_EQ(b.failed, "e");
  EXPECT_EQ(b.skipped, "b");
  EXPECT_TRUE(b.line.quiet());
}

// What pgweir answers itself was never sent, so the server is still waiting for data.
TEST(PipelineCopy, AnInventedAnswerBehindItIsNotAMessage) {
  for (const bool ahead : {false, true}) {
    Bench b;
    b.push(Want::execute);
    if (!ahead) b.replies("G");
    b.push(Want::invent, kOp, '3');
    if (ahead) {
      b.line.push_sync();
      b.replies("G");
    }
    EXPECT_TRUE(b.line.copying_in());
    EXPECT_EQ(b.line.groups(), 0u);
    EXPECT_FALSE(b.line.synced());
    EXPECT_FALSE(b.line.push_sync());
    b.line.push_copy_end();
    EXPECT_TRUE(b.line.push_sync());
    b.replies("C");
    EXPECT_EQ(b.invented(), '3');
    b.replies("Z");
    EXPECT_TRUE(b.line.quiet());
  }
  Bench b;
  b.push(Want::query);
  b.push(Want::invent, 0, '3');
  b.replies("G");
  EXPECT_TRUE(b.line.synced());
  b.line.push_copy_end();
  b.replies("CZ");
  EXPECT_EQ(b.invented(), '3');
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineCopy, OutIsData) {
  Bench b;
  b.push(Want::query);
  b.replies("HddcC");
  EXPECT_FALSE(b.line.copying_in());
  b.replies("Z");
  EXPECT_TRUE(b.line.quiet());
}

TEST(PipelineCopy, DataIsAskedForOnlyByWhatRunsStatements) {
  for (const Want want : {Want::parse, Want::bind, Want::close, Want::describe_statement,
                          Want::describe_portal, Want::function, Want::sync}) {
    Bench b;
    b.push(want);
    EXPECT_FALSE(b.reply('G').known) << static_cast<int>(want);
    EXPECT_FALSE(b.line.copying_in());
  }
}

}  // namespace
}  // namespace pgw::relay
