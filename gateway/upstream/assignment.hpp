// A request's place at an upstream: counted while it is held, and what became of it told to whoever judges servers.
#pragma once

#include <memory>
#include <vector>

#include "upstream/upstream_impl.hpp"

namespace sallyport::upstream {

// Belongs to one exchange. No lock and no allocation while all goes well.
class Assignment {
 public:
  Assignment(Upstream::Impl& upstream, bool is_repeatable) noexcept : upstream_(upstream), is_repeatable_(is_repeatable) {}
  ~Assignment();
  Assignment(const Assignment&) = delete;
  Assignment& operator=(const Assignment&) = delete;

  enum class Entry : std::uint8_t { admitted, overloaded, unavailable };
  // Once, first: whether one more may go to this upstream, and to which server.
  [[nodiscard]] Entry enter();
  // Another server than those in `tried`. False: nobody is left, and the server is the same as before.
  [[nodiscard]] bool move_on(const std::vector<bool>& tried);
  [[nodiscard]] std::size_t server() const noexcept { return server_; }

  // The same server once more.
  void stay() noexcept { is_judged_ = false; }
  // The answer's head came: it is pending no more, and a trial has succeeded.
  void heard() noexcept;
  // How it went at this server. The first word counts.
  void succeeded() noexcept;
  void failed() noexcept;
  void no_verdict() noexcept { give_up(); }

 private:
  void take(const Pick& pick) noexcept;
  void give_up() noexcept;

  Upstream::Impl& upstream_;
  bool is_repeatable_;
  bool has_entered_ = false;
  bool is_pending_ = false;
  bool is_chosen_ = false;
  bool is_judged_ = false;
  bool on_trial_ = false;
  std::size_t server_ = 0;
};

}  // namespace sallyport::upstream
