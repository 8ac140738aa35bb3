#include "listen/descriptors.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace sallyport::listen {

void provide_descriptors(std::uint64_t count) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;  // where it fails, the old limit goes on to be respected
  }
  const std::uint64_t last = std::min<std::uint64_t>({count, limit.rlim_cur, INT_MAX});
  if (last == 0) return;
  // The table grows to hold the one that is asked for, and never shrinks.
  const int highest = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, static_cast<int>(last - 1));
  if (highest >= 0) ::close(highest);
}

}  // namespace sallyport::listen
