// W3C Trace Context (traceparent, level 1) and request ids.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sallyport::observe {

// A fast generator for identifiers that need to be unique, not secret. One per worker, seeded from the system's generator.
class IdGenerator {
 public:
  IdGenerator();
  [[nodiscard]] std::uint64_t next() noexcept;

 private:
  std::array<std::uint64_t, 4> state_;
};

// The traceparent that goes to the upstream: the caller's trace id and flags with a new parent id when `incoming` is well formed
// ("00-<32 hex>-<16 hex>-<2 hex>", neither id all zero, lower case), else a new trace, sampled.
class TraceContext {
 public:
  TraceContext(std::string_view incoming, IdGenerator& ids);
  [[nodiscard]] std::string_view traceparent() const noexcept { return {text_.data(), text_.size()}; }
  [[nodiscard]] std::string_view trace_id() const noexcept { return {text_.data() + 3, 32}; }
  [[nodiscard]] bool was_continued() const noexcept { return continued_; }

 private:
  std::array<char, 55> text_;
  bool continued_ = false;
};

// 32 lower-case hex digits; or `given`, which somebody trusted chose and which outlives it.
class RequestId {
 public:
  explicit RequestId(IdGenerator& ids, std::string_view given = {});
  [[nodiscard]] std::string_view view() const noexcept { return given_.empty() ? std::string_view(text_.data(), text_.size()) : given_; }

 private:
  std::string_view given_;
  std::array<char, 32> text_;
};

}  // namespace sallyport::observe
