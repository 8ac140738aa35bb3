// Stream::write_soon() and the outbox behind it: what is taken in a round of the loop goes out at its end, whole and in order.
#include "transport/outbox.hpp"

#include <deque>

#include "stream_fixture.hpp"

namespace sallyport::transport {
namespace {

using test::connected_tcp;
using test::Descriptor;
using test::Loop;
using namespace std::chrono_literals;

constexpr auto kRoundPatience = 20s;

struct Connection {
  explicit Connection(Loop& loop, int receive_buffer = 0) : Connection(loop, connected_tcp(receive_buffer)) {}
  Connection(Loop& loop, test::DescriptorPair pair) : peer(pair.peer), stream(loop.context, pair.ours, loop.wheel) {
    const int small = 4 * 1024;
    ::setsockopt(stream.native_handle(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  }
  [[nodiscard]] std::string arrived() const {
    std::string bytes(64 * 1024, '\0');
    const ssize_t got = ::recv(peer.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  Descriptor peer;
  Stream stream;
};

struct OutboxTest : ::testing::Test {
  Loop loop;
  Connection one{loop, 4 * 1024};
  Connection other{loop, 4 * 1024};

  // What a coroutine does that a round has woken.
  void in_a_round(std::function<void()> act) {
    loop.run([](Stream& stream, Descriptor& peer, std::function<void()> todo) -> Task<void> {
      std::array<char, 64> bytes{};
      while (stream.try_read(bytes).ok()) {
      }
      boost::asio::post(stream.executor(), [&peer] { peer.write("!"); });
      const IoResult read = co_await stream.read_some(bytes);
      EXPECT_TRUE(read.ok());
      todo();
    }(one.stream, one.peer, std::move(act)));
  }
};

TEST_F(OutboxTest, SendsOutsideOfARoundWhenWhatWasThereHasRun) {
  std::string before_the_last;
  boost::asio::post(loop.context, [&] { EXPECT_TRUE(one.stream.write_soon(std::string_view("first, ")).ok()); });
  boost::asio::post(loop.context, [&] {
    EXPECT_TRUE(one.stream.write_soon(std::string_view("second")).ok());
    before_the_last = one.arrived();
  });
  loop.context.poll();
  EXPECT_EQ(before_the_last, "");
  EXPECT_EQ(one.arrived(), "first, second");
}

TEST_F(OutboxTest, OutsideOfARoundNobodyWaitsForMoreThanAFewTurnsEither) {
  std::string after_the_turns;
  boost::asio::post(loop.context, [&] { EXPECT_TRUE(one.stream.write_soon(std::string_view("hello")).ok()); });
  for (std::size_t turn = 0; turn < Outbox::kTurnsMax; ++turn) {
    boost::asio::post(loop.context, [&] { EXPECT_TRUE(other.stream.write_soon(std::string_view("?")).ok()); });
  }
  boost::asio::post(loop.context, [&] { after_the_turns = one.arrived(); });
  for (std::size_t handler = 0; handler < Outbox::kTurnsMax + 2; ++handler) loop.context.poll_one();
  EXPECT_EQ(after_the_turns, "hello") << "although the round goes on";
  loop.context.poll();
  EXPECT_EQ(other.arrived(), std::string(Outbox::kTurnsMax, '?'));
}

TEST_F(OutboxTest, SendsWhatIsSaidAfterARoundInTheNext) {
  boost::asio::post(loop.context, [&] { EXPECT_TRUE(one.stream.write_soon(std::string_view("before, ")).ok()); });
  loop.context.poll();
  in_a_round([&] { EXPECT_TRUE(one.stream.write_soon(std::string_view("within, ")).ok()); });
  loop.context.restart();
  boost::asio::post(loop.context, [&] { EXPECT_TRUE(one.stream.write_soon(std::string_view("after")).ok()); });
  loop.context.poll();
  EXPECT_EQ(one.arrived(), "before, within, after");
}

TEST_F(OutboxTest, SendsWhatARoundSaidAtItsEnd) {
  in_a_round([&] {
    EXPECT_TRUE(other.stream.write_soon(std::string_view("to the other")).ok());
    EXPECT_TRUE(one.stream.write_soon(std::string_view("first, ")).ok());
    EXPECT_TRUE(one.stream.write_soon(std::string_view("second")).ok());
    EXPECT_EQ(other.arrived(), "") << "not yet";
    EXPECT_EQ(one.arrived(), "");
  });
  EXPECT_EQ(other.arrived(), "to the other");
  EXPECT_EQ(one.arrived(), "first, second");
}

TEST_F(OutboxTest, KeepsTheOrderWithWhatIsWrittenAtOnce) {
  in_a_round([&] {
    EXPECT_TRUE(one.stream.write_soon(std::string_view("first, ")).ok());
    EXPECT_TRUE(other.stream.write_soon(std::string_view("between")).ok());
    EXPECT_TRUE(one.stream.write_soon(std::string_view("second, ")).ok());
    EXPECT_TRUE(one.stream.try_write(std::string_view("third")).ok());
    EXPECT_EQ(one.arrived(), "first, second, third");
    EXPECT_EQ(other.arrived(), "");
  });
  EXPECT_EQ(one.arrived(), "") << "nothing twice";
}

TEST_F(OutboxTest, SendsAtOnceWhatIsLarge) {
  const std::string large(Outbox::kPieceBytesMax + 1, 'x');
  in_a_round([&] {
    const IoResult written = other.stream.write_soon(large);
    ASSERT_TRUE(written.ok());
    EXPECT_FALSE(other.arrived().empty());
  });
}

TEST_F(OutboxTest, WhatIsTakenGoesOutBeforeAnEnd) {
  in_a_round([&] {
    EXPECT_TRUE(one.stream.write_soon(std::string_view("last words")).ok());
    one.stream.shutdown_write();
    EXPECT_TRUE(other.stream.write_soon(std::string_view("very last words")).ok());
    other.stream.abort();
  });
  EXPECT_EQ(one.peer.read(), "last words");
  EXPECT_EQ(other.peer.read(), "very last words");
}

TEST_F(OutboxTest, AStreamMayEndInTheRound) {
  auto brief = std::make_unique<Connection>(loop);
  std::string heard;
  in_a_round([&] {
    EXPECT_TRUE(brief->stream.write_soon(std::string_view("short life")).ok());
    const int peer = ::dup(brief->peer.get());
    brief.reset();
    Descriptor copy(peer);
    heard = copy.read();
  });
  EXPECT_EQ(heard, "short life");
}

TEST_F(OutboxTest, APeerThatIsGoneEndsTheStream) {
  other.peer.reset();
  in_a_round([&] {
    std::array<char, 1> byte{};
    (void)other.stream.try_read(byte);  // takes the reset, which the kernel says once
    EXPECT_TRUE(other.stream.write_soon(std::string_view("hello?")).ok()) << "taken";
  });
  EXPECT_FALSE(other.stream.is_open());
}

// More is taken than the kernel has room for: it waits, in order, and the end comes behind it.
TEST_F(OutboxTest, WhatTheKernelHasNoRoomForGoesOutWhenThereIsSome) {
  std::string expected;
  in_a_round([&] {
    for (char letter = 'a'; other.stream.is_open() && letter <= 'z'; ++letter) {
      const std::string piece(2'000, letter);
      const IoResult written = other.stream.write_soon(piece);
      if (!written.ok()) break;
      expected += piece;
    }
  });
  EXPECT_GT(expected.size(), 20'000U);
  EXPECT_EQ(other.stream.try_write(std::string_view("x")).status, IoStatus::would_block) << "not before what was taken";
  other.stream.shutdown_write();
  other.stream.expire_after(kRoundPatience);
  std::string got;
  std::thread reader([&] {
    got = other.peer.read();
    other.peer.shut_write();
  });
  loop.run([](Stream& stream) -> Task<void> {
    std::array<char, 1> byte{};
    const IoResult read = co_await stream.read_some(byte);
    EXPECT_EQ(read.status, IoStatus::closed);
  }(other.stream));
  reader.join();
  EXPECT_TRUE(got == expected) << got.size() << " of " << expected.size();
}

TEST_F(OutboxTest, WhatWaitsForRoomIsDroppedWithItsStream) {
  in_a_round([&] {
    for (int i = 0; i < 26; ++i) EXPECT_TRUE(other.stream.write_soon(std::string(2'000, 'x')).ok());
  });
  other.stream.abort();
  EXPECT_FALSE(other.stream.is_open());
  loop.context.restart();
  loop.context.run_for(kRoundPatience);
  EXPECT_TRUE(loop.context.stopped()) << "nobody waits for a socket that is gone";
}

TEST_F(OutboxTest, NobodyWaitsForMoreThanAFewTurns) {
  Outbox outbox;
  outbox.begin_round();
  EXPECT_TRUE(outbox.takes(5));
  outbox.put(one.stream, std::string_view("hello"));
  for (std::size_t turn = 1; turn < Outbox::kTurnsMax; ++turn) outbox.end_turn();
  EXPECT_EQ(one.arrived(), "");
  outbox.end_turn();
  EXPECT_EQ(one.arrived(), "hello");
  outbox.end_round();
  EXPECT_FALSE(outbox.takes(5)) << "the round is over";
}

TEST_F(OutboxTest, TakesNoMoreThanItHasRoomFor) {
  Outbox outbox;
  EXPECT_FALSE(outbox.takes(1)) << "no round yet";
  outbox.begin_round();
  EXPECT_FALSE(outbox.takes(Outbox::kPieceBytesMax + 1));
  std::deque<Connection> connections;
  std::vector<Stream*> streams;
  for (int i = 0; i < 10; ++i) streams.push_back(&connections.emplace_back(loop).stream);
  const std::string piece(10, 'x');
  std::size_t pieces = 0;
  for (; outbox.takes(piece.size()); ++pieces) {
    ASSERT_LT(pieces, 1000U);
    outbox.put(*streams[pieces % streams.size()], piece);
  }
  outbox.end_round();
  std::size_t arrived = 0;
  for (const Connection& connection : connections) arrived += connection.arrived().size();
  EXPECT_EQ(arrived, pieces * piece.size());
}

}  // namespace
}  // namespace sallyport::transport
