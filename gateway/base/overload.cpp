#include "base/overload.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace sallyport {

std::string_view Overload::name(Reason reason) noexcept {
  switch (reason) {
    case Reason::memory: return "memory";
    case Reason::requests: return "requests";
  }
  return "unknown";
}

void Overload::use(const OverloadSettings& settings) noexcept {
  memory_max_.store(settings.memory_bytes.value_or(kNoMark), std::memory_order_relaxed);
  requests_max_.store(settings.requests.value_or(kNoMark), std::memory_order_relaxed);
  look();
}

void Overload::look() noexcept {
  if (memory_max_.load(std::memory_order_relaxed) == kNoMark) {
    resident_.store(0, std::memory_order_relaxed);
    over_memory_.store(false, std::memory_order_relaxed);
    far_over_.store(false, std::memory_order_relaxed);
    return;
  }
  measured(resident_memory());
}

void Overload::measured(std::optional<std::uint64_t> resident_bytes) noexcept {
  if (!resident_bytes) return;
  const std::uint64_t mark = memory_max_.load(std::memory_order_relaxed);
  resident_.store(*resident_bytes, std::memory_order_relaxed);
  over_memory_.store(mark != kNoMark && *resident_bytes > mark, std::memory_order_relaxed);
  far_over_.store(mark != kNoMark && *resident_bytes > mark && *resident_bytes - mark > mark / 8, std::memory_order_relaxed);
}

bool Overload::is_over() const noexcept {
  return over_memory_.load(std::memory_order_relaxed) ||
         in_flight_.load(std::memory_order_relaxed) >= requests_max_.load(std::memory_order_relaxed);
}

Overload::Entry::Entry(Overload& overload) noexcept : overload_(overload) {
  if (overload.over_memory_.load(std::memory_order_relaxed)) {
    refused_ = Reason::memory;
    return;
  }
  const std::uint64_t most = overload.requests_max_.load(std::memory_order_relaxed);
  if (most == kNoMark) return;
  if (overload.in_flight_.fetch_add(1, std::memory_order_relaxed) < most) {
    counts_ = true;
    return;
  }
  overload.in_flight_.fetch_sub(1, std::memory_order_relaxed);
  refused_ = Reason::requests;
}

std::optional<std::uint64_t> resident_memory() noexcept {
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::array<char, 128> text{};
  const ssize_t read = ::read(file, text.data(), text.size());
  ::close(file);
  if (read <= 0) return std::nullopt;
  // "size resident shared ...", in pages.
  const char* const end = text.data() + read;
  std::uint64_t pages = 0;
  const auto size = std::from_chars(text.data(), end, pages);
  if (size.ec != std::errc() || size.ptr == end || *size.ptr != ' ') return std::nullopt;
  const auto resident = std::from_chars(size.ptr + 1, end, pages);
  if (resident.ec != std::errc()) return std::nullopt;
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (page_bytes <= 0) return std::nullopt;
  return pages * static_cast<std::uint64_t>(page_bytes);
}

}  // namespace sallyport
