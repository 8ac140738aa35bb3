#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <memory>

#include "connection.hpp"
#include "modes.hpp"

namespace sallyport::load {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kAnswerPatience{10};

class OpenLoop {
 public:
  OpenLoop(const Target& target, const Rate& rate)
      : target_(target), rate_(rate), requests_(target.requests()), context_(target.tls ? make_context() : nullptr) {
    for (std::uint32_t i = 0; i < rate.connections; ++i) connections_.push_back(open());
  }

  int run() {
    const Moment limit = steady_clock::now() + kAnswerPatience;
    while (idle_.size() < connections_.size() && steady_clock::now() < limit) collect(poller_.wait(limit));
    began_ = steady_clock::now() + std::chrono::milliseconds(50);
    const std::uint64_t warm_up = rate_.per_second * static_cast<std::uint64_t>(rate_.warm_up.count());
    const std::uint64_t all = warm_up + rate_.per_second * static_cast<std::uint64_t>(rate_.duration.count());
    counted_from_ = due(warm_up);
    latencies_.reserve(all - warm_up);
    while (next_ < all) {
      send_what_is_due(all);
      collect(poller_.wait(idle_.empty() ? steady_clock::now() + kAnswerPatience : due(next_)));
    }
    const Moment end = steady_clock::now() + kAnswerPatience;
    while (idle_.size() < connections_.size() && steady_clock::now() < end) collect(poller_.wait(end));
    failed_ += connections_.size() - idle_.size();
    return report(all - warm_up);
  }

 private:
  [[nodiscard]] Moment due(std::uint64_t request) const { return began_ + nanoseconds(request * 1'000'000'000 / rate_.per_second); }

  std::unique_ptr<Connection> open() {
    auto connection = std::make_unique<Connection>(target_.port, context_.get());
    poller_.add(*connection);
    if (connection->advance() == Connection::State::idle) idle_.push_back(connection.get());
    return connection;
  }

  void send_what_is_due(std::uint64_t all) {
    for (const Moment now = steady_clock::now(); next_ < all && !idle_.empty() && due(next_) <= now; ++next_) {
      Connection& connection = *idle_.back();
      idle_.pop_back();
      connection.due = due(next_);
      if (connection.send(requests_[next_ % requests_.size()]) == Connection::State::failed) replace(connection);
    }
  }

  void collect(const std::vector<Connection*>& ready) {
    for (Connection* connection : ready) {
      const Connection::State before = connection->state();
      const Connection::State after = connection->advance();
      if (after == Connection::State::failed) {
        replace(*connection);
      } else if (after == Connection::State::idle && before != after) {
        if (before == Connection::State::busy) finish(*connection);
        idle_.push_back(connection);
      }
    }
  }

  void finish(const Connection& connection) {
    if (connection.due < counted_from_) return;
    if (connection.status() != target_.expected_status) {
      ++failed_;
    } else {
      latencies_.push_back(static_cast<std::uint32_t>((steady_clock::now() - connection.due) / nanoseconds(100)));
    }
  }

  // Its request failed; the next ones need somebody.
  void replace(Connection& broken) {
    ++failed_;
    std::erase(idle_, &broken);
    const auto at = std::ranges::find(connections_, &broken, &std::unique_ptr<Connection>::get);
    *at = open();
  }

  [[nodiscard]] double percentile(double share) const {
    if (latencies_.empty()) return 0;
    const auto at = std::min(latencies_.size() - 1, static_cast<std::size_t>(static_cast<double>(latencies_.size()) * share));
    return latencies_[at] / 10'000.0;
  }

  int report(std::uint64_t requests) {
    std::ranges::sort(latencies_);
    fmt::print(
        R"({{"requests":{},"answered":{},"failed":{},"p50_ms":{:.3f},"p90_ms":{:.3f},"p99_ms":{:.3f},"p999_ms":{:.3f},"max_ms":{:.3f}}})"
        "\n",
        requests, latencies_.size(), failed_, percentile(0.5), percentile(0.9), percentile(0.99), percentile(0.999), percentile(1));
    return failed_ == 0 && latencies_.size() == requests ? 0 : 1;
  }

  const Target& target_;
  const Rate& rate_;
  const std::vector<std::string> requests_;
  const Context context_;
  Poller poller_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;
  Moment began_;
  Moment counted_from_;
  std::uint64_t next_ = 0;
  std::uint64_t failed_ = 0;
  std::vector<std::uint32_t> latencies_;  // tenths of a microsecond
};

}  // namespace

int run_rate(const Target& target, const Rate& rate) {
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // the kernel may sleep 50 us longer otherwise, half of what lies between two requests
  return OpenLoop(target, rate).run();
}

}  // namespace sallyport::load
