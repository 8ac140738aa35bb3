#include "listen/descriptors.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace sallyport::listen {
namespace {

constexpr std::uint64_t kFew = 64;
constexpr std::uint64_t kMedium = 600;
constexpr std::uint64_t kMany = 5'000;

std::uint64_t table_size() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("FDSize:")) return std::stoull(line.substr(7));
  }
  return 0;
}

rlimit limit() {
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  return now;
}

// In a process of its own: neither the limit nor the table of this one may stay changed. What it returns is its exit status.
template <class Check>
int elsewhere(Check check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check());
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int set_limits(std::uint64_t soft, std::uint64_t hard) {
  const rlimit limit{soft, hard};
  return ::setrlimit(RLIMIT_NOFILE, &limit);
}

TEST(Descriptors, TheTableHasRoomForAllAndNoneIsLeftOpen) {
  ASSERT_EQ(elsewhere([] { return limit().rlim_max >= kMany ? 0 : 1; }), 0) << "raise `ulimit -Hn`";
  EXPECT_EQ(elsewhere([] {
              provide_descriptors(kMany);
              if (table_size() < kMany) return 1;
              return ::fcntl(static_cast<int>(kMany) - 1, F_GETFD) == -1 ? 0 : 2;
            }),
            0);
}

TEST(Descriptors, TheSoftLimitIsRaisedToTheHardOne) {
  EXPECT_EQ(elsewhere([] {
              if (set_limits(kFew, limit().rlim_max) != 0) return 1;
              provide_descriptors(0);
              return limit().rlim_cur == limit().rlim_max ? 0 : 2;
            }),
            0);
}

TEST(Descriptors, MoreThanTheHardLimitIsAsManyAsItAllows) {
  EXPECT_EQ(elsewhere([] {
              if (set_limits(kMedium, kMedium) != 0) return 1;
              provide_descriptors(UINT64_MAX);
              return table_size() >= kMedium && table_size() < kMany ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace sallyport::listen
