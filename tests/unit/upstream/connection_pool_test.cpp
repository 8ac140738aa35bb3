#include "upstream/connection_pool.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::upstream {
namespace {

using transport::Stream;

class ConnectionPoolTest : public ::testing::Test {
 protected:
  struct Pair {
    std::unique_ptr<Stream> ours;
    int theirs;
  };
  Pair make() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) throw std::runtime_error("socketpair");
    theirs_.push_back(ends[1]);
    return {std::make_unique<Stream>(context_, ends[0], wheel_), ends[1]};
  }
  ~ConnectionPoolTest() override {
    for (const int end : theirs_) ::close(end);
    wheel_.stop();
  }

  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_{context_};
  std::vector<int> theirs_;
};

TEST_F(ConnectionPoolTest, GivesBackTheConnectionThatWasKeptLast) {
  ConnectionPool pool(wheel_, std::chrono::seconds(60));
  Pair first = make();
  Pair second = make();
  const Stream* const last = second.ours.get();
  pool.give(std::move(first.ours));
  pool.give(std::move(second.ours));
  EXPECT_EQ(pool.size(), 2U);
  EXPECT_EQ(pool.take().get(), last);
  EXPECT_NE(pool.take(), nullptr);
  EXPECT_EQ(pool.take(), nullptr);
}

TEST_F(ConnectionPoolTest, K28_ThrowsAwayAConnectionWithBytesWaiting) {
  ConnectionPool pool(wheel_, std::chrono::seconds(60));
  Pair silent = make();
  Pair noisy = make();
  const Stream* const good = silent.ours.get();
  pool.give(std::move(silent.ours));
  pool.give(std::move(noisy.ours));
  ASSERT_EQ(::write(noisy.theirs, "HTTP/1.1 200 OK\r\n", 17), 17);
  EXPECT_EQ(pool.take().get(), good);
  EXPECT_EQ(pool.size(), 0U);
}

TEST_F(ConnectionPoolTest, O03_ThrowsAwayAConnectionThatTheServerClosed) {
  ConnectionPool pool(wheel_, std::chrono::seconds(60));
  Pair closed = make();
  pool.give(std::move(closed.ours));
  ::shutdown(closed.theirs, SHUT_RDWR);
  EXPECT_EQ(pool.take(), nullptr);
}

TEST_F(ConnectionPoolTest, ClosesWhatIsIdleTooLongAndKeepsTheRest) {
  ConnectionPool pool(wheel_, std::chrono::milliseconds(60));
  Pair old = make();
  pool.give(std::move(old.ours));
  while (pool.size() == 1) context_.run_one_for(std::chrono::seconds(5));
  char byte = 0;
  EXPECT_EQ(::read(old.theirs, &byte, 1), 0) << "closed, not merely forgotten";
  Pair young = make();
  pool.give(std::move(young.ours));
  EXPECT_NE(pool.take(), nullptr);
}

TEST_F(ConnectionPoolTest, HoldsItsCapAndDropsTheOldestBeyondIt) {
  ConnectionPool pool(wheel_, std::chrono::seconds(60));
  int oldest = -1;
  for (std::size_t i = 0; i < ConnectionPool::kIdleMax; ++i) {
    Pair pair = make();
    if (i == 0) oldest = pair.theirs;
    pool.give(std::move(pair.ours));
  }
  char byte = 0;
  EXPECT_EQ(pool.size(), ConnectionPool::kIdleMax);
  EXPECT_EQ(::read(oldest, &byte, 1), -1) << "at the cap nothing is closed";
  pool.give(make().ours);
  EXPECT_EQ(pool.size(), ConnectionPool::kIdleMax);
  EXPECT_EQ(::read(oldest, &byte, 1), 0);
}

TEST_F(ConnectionPoolTest, ClosesAllWhenCleared) {
  ConnectionPool pool(wheel_, std::chrono::seconds(60));
  Pair pair = make();
  pool.give(std::move(pair.ours));
  pool.clear();
  char byte = 0;
  EXPECT_EQ(pool.size(), 0U);
  EXPECT_EQ(::read(pair.theirs, &byte, 1), 0);
}

}  // namespace
}  // namespace sallyport::upstream
