// How much is under way in the whole process, and when that is too much: new work is refused then, so that old work finishes.
//
// One per process, shared by all workers; outlives them. Wiring:
//   * the control thread calls use() at start and after each reload, and look() every kLookInterval;
//   * every worker's Pipeline is given it (Surroundings::overload) and holds an Entry for each request;
//   * every listener asks refuses_connections() before it takes a new connection in.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport {

struct OverloadSettings {
  std::optional<std::uint64_t> memory_bytes;  // resident memory of the process
  std::optional<std::uint64_t> requests;      // under way at once, over all workers
  friend bool operator==(const OverloadSettings&, const OverloadSettings&) = default;
};

class Overload {
 public:
  static constexpr std::chrono::milliseconds kLookInterval{100};

  enum class Reason : unsigned char { memory, requests };
  [[nodiscard]] static std::string_view name(Reason reason) noexcept;

  // Any thread; from the next request on.
  void use(const OverloadSettings& settings) noexcept;
  // On the control thread. Without a memory mark it reads nothing.
  void look() noexcept;
  // What look() does with what it read. `nullopt`: it could not be read, and the last word stands.
  void measured(std::optional<std::uint64_t> resident_bytes) noexcept;

  // One request under way. Costs one atomic counter for all workers where a mark for requests is set, and nothing else.
  class Entry {
   public:
    explicit Entry(Overload& overload) noexcept;
    ~Entry() {
      if (counts_) overload_.in_flight_.fetch_sub(1, std::memory_order_relaxed);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    // Why this request is one too many; nullopt: it may go on.
    [[nodiscard]] std::optional<Reason> refused() const noexcept { return refused_; }

   private:
    Overload& overload_;
    bool counts_ = false;
    std::optional<Reason> refused_;
  };

  // So far over the memory mark (an eighth) that even saying no costs too much.
  [[nodiscard]] bool refuses_connections() const noexcept { return far_over_.load(std::memory_order_relaxed); }

  // For metrics. 0 where no mark asks for them.
  [[nodiscard]] std::uint64_t requests_in_flight() const noexcept { return in_flight_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t resident_bytes() const noexcept { return resident_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_over() const noexcept;
  [[nodiscard]] bool is_over_memory() const noexcept { return over_memory_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint64_t kNoMark = UINT64_MAX;
  std::atomic<std::uint64_t> memory_max_{kNoMark};
  std::atomic<std::uint64_t> requests_max_{kNoMark};
  std::atomic<std::uint64_t> resident_{0};
  std::atomic<bool> over_memory_{false};
  std::atomic<bool> far_over_{false};
  alignas(64) std::atomic<std::uint64_t> in_flight_{0};  // alone on its line: every worker writes it
};

// From /proc/self/statm; nullopt where that cannot be read.
[[nodiscard]] std::optional<std::uint64_t> resident_memory() noexcept;

}  // namespace sallyport
