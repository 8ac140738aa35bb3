#include "transport/stream.hpp"

#include "stream_fixture.hpp"
#include "support/bystander.hpp"

namespace sallyport::transport {
namespace {

using test::connected_tcp;
using test::Descriptor;
using test::Loop;
using test::pause;
using test::read_text;
using test::read_to_end;
using namespace std::chrono_literals;

constexpr auto kPatience = 20s;  // a deadline that a passing test never meets

// How they wait who have no buffer to lend.
Task<IoStatus> readable(Stream& stream) {
  if (auto wait = stream.until_readable()) co_await std::move(*wait);
  co_return stream.condition();
}

struct StreamTest : ::testing::Test {
  Loop loop;
  test::DescriptorPair pair = connected_tcp(8 * 1024);
  Stream stream{loop.context, pair.ours, loop.wheel};
  Descriptor peer{pair.peer};
};

TEST_F(StreamTest, ReadsWhatThePeerWroteBeforeAndDuringTheWait) {
  peer.write("early");
  loop.run([](Stream& s, Descriptor& p) -> Task<void> {
    std::array<char, 64> buffer{};
    s.expire_after(kPatience);
    IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(read_text(result, buffer), "early");
    boost::asio::post(s.executor(), [&p] { p.write("late"); });
    result = co_await s.read_some(buffer);
    EXPECT_EQ(read_text(result, buffer), "late");
    s.never_expire();
  }(stream, peer));
}

TEST_F(StreamTest, ASmallBufferGetsTheBytesInPieces) {
  peer.write("abcdef");
  loop.run([](Stream& s, Descriptor&) -> Task<void> {
    std::array<char, 4> buffer{};
    s.expire_after(kPatience);
    IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(read_text(result, buffer), "abcd");
    result = co_await s.read_some(buffer);
    EXPECT_EQ(read_text(result, buffer), "ef");
    s.never_expire();
  }(stream, peer));
}

TEST_F(StreamTest, WaitsForBytesWithoutABuffer) {
  loop.run([](Stream& s, Descriptor& p) -> Task<void> {
    std::array<char, 64> buffer{};
    s.expire_after(kPatience);
    for (const std::string_view text : {"one", "two"}) {
      EXPECT_EQ(s.try_read(buffer).status, IoStatus::would_block);
      boost::asio::post(s.executor(), [&p, text] { p.write(text); });
      const IoStatus waited = co_await readable(s);
      EXPECT_EQ(waited, IoStatus::ok);
      EXPECT_EQ(read_text(s.try_read(buffer), buffer), text);
    }
    EXPECT_EQ(s.try_read(buffer).status, IoStatus::would_block);
    boost::asio::post(s.executor(), [&p] { p.shut_write(); });
    IoStatus waited = co_await readable(s);
    EXPECT_EQ(waited, IoStatus::ok) << "an end is something to read";
    EXPECT_EQ(s.try_read(buffer).status, IoStatus::closed);
    s.abort();
    waited = co_await readable(s);
    EXPECT_EQ(waited, IoStatus::failed);
  }(stream, peer));
}

TEST_F(StreamTest, AWaitForBytesMeetsTheDeadline) {
  loop.run([](Stream& s, Descriptor&) -> Task<void> {
    std::array<char, 64> buffer{};
    EXPECT_EQ(s.try_read(buffer).status, IoStatus::would_block);
    s.expire_after(20ms);
    IoStatus waited = co_await readable(s);
    EXPECT_EQ(waited, IoStatus::timed_out);
    waited = co_await readable(s);
    EXPECT_EQ(waited, IoStatus::timed_out);
  }(stream, peer));
}

TEST_F(StreamTest, M14_LetsOthersGoFirstWhenThePeerSendsFasterThanWeRead) {
  constexpr std::size_t kReads = 10 * Stream::kReadsPerTurn;
  peer.write(std::string(kReads, 'x'));
  std::size_t reads = 0;
  sallyport::testing::Bystander bystander(loop.context, [&reads] { return reads; });
  loop.run([](Stream& s, std::size_t& count, sallyport::testing::Bystander& other) -> Task<void> {
    s.expire_after(kPatience);
    for (; count < kReads; ++count) {
      std::array<char, 1> byte{};
      const IoResult result = co_await s.read_some(byte);
      if (!result.ok()) break;
    }
    s.never_expire();
    other.stop();
  }(stream, reads, bystander));
  EXPECT_EQ(reads, kReads);
  EXPECT_LE(bystander.widest(), Stream::kReadsPerTurn);
}

// The kernel reports bytes and end in one event: the end must not be lost with the short read.
TEST_F(StreamTest, SeesAnEndThatCameTogetherWithTheLastBytes) {
  loop.run([](Stream& s, Descriptor& p) -> Task<void> {
    boost::asio::post(s.executor(), [&p] {
      p.write("last");
      p.close();
    });
    s.expire_after(kPatience);
    IoStatus end{};
    const std::string all = co_await read_to_end(s, end);
    EXPECT_EQ(all, "last");
    EXPECT_EQ(end, IoStatus::closed);
    const IoResult again = co_await [](Stream& same) -> Task<IoResult> {
      std::array<char, 8> buffer{};
      co_return co_await same.read_some(buffer);
    }(s);
    EXPECT_EQ(again.status, IoStatus::closed);
    s.never_expire();
  }(stream, peer));
}

TEST_F(StreamTest, SeesAnEndThatWasThereBeforeTheFirstRead) {
  peer.write("last");
  peer.close();
  loop.run([](Stream& s) -> Task<void> {
    s.expire_after(kPatience);
    IoStatus end{};
    const std::string all = co_await read_to_end(s, end);
    EXPECT_EQ(all, "last");
    EXPECT_EQ(end, IoStatus::closed);
    s.never_expire();
  }(stream));
}

TEST_F(StreamTest, AResetIsAFailure) {
  loop.run([](Stream& s, Descriptor& p) -> Task<void> {
    boost::asio::post(s.executor(), [&p] { p.reset(); });
    std::array<char, 8> buffer{};
    s.expire_after(kPatience);
    const IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(result.status, IoStatus::failed);
    s.never_expire();
  }(stream, peer));
}

TEST_F(StreamTest, M04_ASilentPeerMeetsTheDeadline) {
  const auto before = std::chrono::steady_clock::now();
  loop.run([](Stream& s) -> Task<void> {
    std::array<char, 8> buffer{};
    s.expire_after(60ms);
    IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(result.status, IoStatus::timed_out);
    result = co_await s.read_some(buffer);  // still past it
    EXPECT_EQ(result.status, IoStatus::timed_out);
  }(stream));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 60ms);
}

TEST_F(StreamTest, AfterTheDeadlineANewOneAllowsALastWord) {
  loop.run([](Stream& s) -> Task<void> {
    std::array<char, 8> buffer{};
    s.expire_after(10ms);
    IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(result.status, IoStatus::timed_out);
    EXPECT_TRUE(s.is_open());
    s.expire_after(kPatience);
    result = co_await s.write_all(std::string_view("408"));
    EXPECT_TRUE(result.ok());
    s.never_expire();
  }(stream));
  stream.abort();
  EXPECT_EQ(peer.read(), "408");
}

Task<void> drip(Descriptor& peer, const bool& over) {
  for (int i = 0; i < 2'000 && !over; ++i) {
    peer.write("x");
    co_await pause(5ms);
  }
}

TEST_F(StreamTest, M01_BytesOneByOneDoNotMoveTheDeadline) {
  bool over = false;
  std::size_t got = 0;
  loop.spawn(drip(peer, over));
  const auto before = std::chrono::steady_clock::now();
  loop.run([](Stream& s, bool& done, std::size_t& count) -> Task<void> {
    s.expire_after(100ms);
    IoStatus end{};
    const std::string all = co_await read_to_end(s, end);
    EXPECT_EQ(end, IoStatus::timed_out);
    count = all.size();
    done = true;
  }(stream, over, got));
  EXPECT_GT(got, 0U);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);  // the dripping alone would take ten
}

TEST_F(StreamTest, M03_APeerThatDoesNotReadMeetsTheDeadlineOfTheWrite) {
  loop.run([](Stream& s) -> Task<void> {
    const std::string much(8 * 1024 * 1024, 'a');
    s.expire_after(60ms);
    const IoResult result = co_await s.write_all(much);
    EXPECT_EQ(result.status, IoStatus::timed_out);
    EXPECT_GT(result.bytes, 0U);
    EXPECT_LT(result.bytes, much.size());
  }(stream));
}

TEST_F(StreamTest, AWriteWaitsForASlowReaderAndArrivesWhole) {
  std::string much;
  for (int i = 0; i < 400'000; ++i) much += std::to_string(i);
  std::string got;
  std::thread reader([&] { got = peer.read(); });
  loop.run([](Stream& s, const std::string& all) -> Task<void> {
    s.expire_after(kPatience);
    const IoResult result = co_await s.write_all(all);
    EXPECT_TRUE(result.ok());
    EXPECT_EQ(result.bytes, all.size());
    s.never_expire();
    s.shutdown_write();
  }(stream, much));
  reader.join();
  EXPECT_EQ(got, much);
}

TEST_F(StreamTest, AbortWakesTheReaderAndTheWriter) {
  IoStatus read_end{};
  IoStatus write_end{};
  loop.spawn([](Stream& s, IoStatus& status) -> Task<void> {
    std::array<char, 8> buffer{};
    const IoResult result = co_await s.read_some(buffer);
    status = result.status;
  }(stream, read_end));
  loop.spawn([](Stream& s, IoStatus& status) -> Task<void> {
    const std::string much(8 * 1024 * 1024, 'a');
    const IoResult result = co_await s.write_all(much);
    status = result.status;
  }(stream, write_end));
  loop.run([](Stream& s) -> Task<void> {
    co_await pause(20ms);
    s.abort();
    s.abort();  // again is no harm
    EXPECT_FALSE(s.is_open());
  }(stream));
  EXPECT_EQ(read_end, IoStatus::failed);
  EXPECT_EQ(write_end, IoStatus::failed);
}

TEST_F(StreamTest, AnAbortedStreamFailsEveryOperation) {
  stream.abort();
  std::array<char, 8> buffer{};
  EXPECT_EQ(stream.try_read(buffer).status, IoStatus::failed);
  EXPECT_EQ(stream.try_write(std::string_view("x")).status, IoStatus::failed);
  EXPECT_FALSE(stream.is_silent());
  stream.shutdown_write();
  loop.run([](Stream& s) -> Task<void> {
    std::array<char, 8> into{};
    IoResult result = co_await s.read_some(into);
    EXPECT_EQ(result.status, IoStatus::failed);
    result = co_await s.write_all(std::string_view("x"));
    EXPECT_EQ(result.status, IoStatus::failed);
  }(stream));
}

TEST_F(StreamTest, SilenceIsToldFromBytesAndFromTheEnd) {
  EXPECT_TRUE(stream.is_silent());
  peer.write("noise");
  EXPECT_FALSE(stream.is_silent());
  std::array<char, 64> buffer{};
  const IoResult got = stream.try_read(buffer);
  EXPECT_EQ(read_text(got, buffer), "noise");
  EXPECT_TRUE(stream.is_silent());
  EXPECT_EQ(stream.try_read(buffer).status, IoStatus::would_block);
  peer.close();
  EXPECT_FALSE(stream.is_silent());
}

TEST_F(StreamTest, TheHalfThatIsShutStillReads) {
  stream.shutdown_write();
  EXPECT_EQ(peer.read(), "");
  peer.write("answer");
  loop.run([](Stream& s) -> Task<void> {
    std::array<char, 64> buffer{};
    s.expire_after(kPatience);
    const IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(read_text(result, buffer), "answer");
    s.never_expire();
  }(stream));
}

TEST_F(StreamTest, WritingToAPeerThatIsGoneRaisesNoSignal) {
  peer.reset();
  loop.run([](Stream& s) -> Task<void> {
    const std::string much(1024 * 1024, 'a');
    s.expire_after(kPatience);
    IoResult result = co_await s.write_all(much);
    EXPECT_EQ(result.status, IoStatus::failed);
    result = co_await s.write_all(much);
    EXPECT_EQ(result.status, IoStatus::failed);
    s.never_expire();
  }(stream));
}

TEST(Stream, TakesAnAsioSocket) {
  Loop loop;
  const test::DescriptorPair pair = connected_tcp();
  Descriptor peer(pair.peer);
  Socket socket(loop.context.get_executor(), boost::asio::generic::stream_protocol(AF_INET, IPPROTO_TCP), pair.ours);
  Stream stream(std::move(socket), loop.wheel);
  EXPECT_EQ(stream.native_handle(), pair.ours);
  peer.write("hello");
  loop.run([](Stream& s) -> Task<void> {
    std::array<char, 64> buffer{};
    s.expire_after(kPatience);
    const IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(read_text(result, buffer), "hello");
    s.never_expire();
  }(stream));
}

// Everybody is ready in the same round; whoever is woken first ends the others, frames and all.
TEST(Stream, ManyReadyAtOnceSurviveTheEndOfTheirNeighbours) {
  constexpr std::size_t kStreams = 200;
  Loop loop;
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Descriptor>> peers;
  int woken = 0;
  int failed = 0;
  for (std::size_t i = 0; i < kStreams; ++i) {
    const test::DescriptorPair pair = connected_tcp();
    streams.push_back(std::make_unique<Stream>(loop.context, pair.ours, loop.wheel));
    peers.push_back(std::make_unique<Descriptor>(pair.peer));
  }
  for (auto& stream : streams) {
    loop.spawn([](std::vector<std::unique_ptr<Stream>>& all, Stream& mine, int& ok, int& lost) -> Task<void> {
      std::array<char, 8> buffer{};
      const IoResult result = co_await mine.read_some(buffer);
      if (!result.ok()) {
        ++lost;
        co_return;
      }
      ++ok;
      for (auto& other : all) other->abort();
    }(streams, *stream, woken, failed));
  }
  loop.run([](std::vector<std::unique_ptr<Descriptor>>& all) -> Task<void> {
    co_await pause(10ms);  // all wait
    for (auto& peer : all) peer->write("x");
  }(peers));
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(failed, static_cast<int>(kStreams) - 1);
}

TEST(Stream, ALoopThatEndsTakesSuspendedCoroutinesWithIt) {
  const test::DescriptorPair pair = connected_tcp();
  Descriptor peer(pair.peer);
  auto witness = std::make_shared<int>(1);
  {
    Loop loop;
    loop.spawn([](Loop& owner, int descriptor, std::shared_ptr<int>) -> Task<void> {
      Stream stream(owner.context, descriptor, owner.wheel);
      stream.expire_after(1h);
      std::array<char, 8> buffer{};
      const IoResult never = co_await stream.read_some(buffer);
      (void)never;
    }(loop, pair.ours, witness));
    loop.context.poll();
    EXPECT_EQ(witness.use_count(), 2);
  }
  EXPECT_EQ(witness.use_count(), 1);
  EXPECT_EQ(peer.read(), "");  // closed
}

// Waiting must not keep the kernel busy: nothing is ready, so the loop sleeps until its one timer.
TEST_F(StreamTest, WaitingDoesNotSpin) {
  loop.spawn([](Stream& s) -> Task<void> {
    std::array<char, 8> buffer{};
    const IoResult result = co_await s.read_some(buffer);
    EXPECT_EQ(result.status, IoStatus::failed);
  }(stream));
  std::size_t handlers = 0;
  const auto until = std::chrono::steady_clock::now() + 100ms;
  while (std::chrono::steady_clock::now() < until) handlers += loop.context.run_one_for(10ms);
  EXPECT_LT(handlers, 10U);
  stream.abort();
  loop.context.restart();
  loop.context.run();
}

}  // namespace
}  // namespace sallyport::transport
