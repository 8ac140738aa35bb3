// The stages of a request's road, each by itself: what micro_benchmarks times and micro_budgets counts.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sallyport::micro {

using Body = std::function<void()>;

// `stage` and `floor` make what is run over and over; what they set up does not count. The floor is what no implementation can do without,
// and says in `floor_is` what that is; of a signature, OpenSSL's verification as most call it, which prepared keys undercut.
struct Stage {
  std::string name;  // letters, digits, spaces
  std::function<Body()> stage;
  std::function<Body()> floor;
  std::string floor_is;
};

// In the order of the road.
[[nodiscard]] std::vector<Stage> stages();

// One *_bench.cpp each.
void add_heads(std::vector<Stage>& to);
void add_routes(std::vector<Stage>& to);
void add_verified_tokens(std::vector<Stage>& to);
void add_verifications(std::vector<Stage>& to);
void add_sessions(std::vector<Stage>& to);
void add_decisions(std::vector<Stage>& to);
void add_outbound(std::vector<Stage>& to);
void add_access_lines(std::vector<Stage>& to);

// The compiler must take the value for used, and what it was made from for changed.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace sallyport::micro
