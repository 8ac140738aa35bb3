// Which sockets of one worker can be read or written. Each socket is told to the kernel once, edge-triggered, in an epoll of our own
// that Asio watches like any descriptor: waiting costs no system call, where Asio's async_wait costs an epoll_ctl each time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "base/task.hpp"
#include "base/waiter.hpp"
#include "transport/outbox.hpp"

struct epoll_event;

namespace sallyport::transport {

class Readiness;

// The epoll of one io_context: made on first use, gone with the io_context. Belongs to its thread. While nobody waits it is no work
// for the io_context, so that run() can return.
class Poller final : public boost::asio::execution_context::service {
 public:
  static boost::asio::execution_context::id id;
  explicit Poller(boost::asio::execution_context& context);  // throws boost::system::system_error without an epoll
  ~Poller() override;
  [[nodiscard]] static Poller& of(boost::asio::io_context& context) { return boost::asio::use_service<Poller>(context); }

 private:
  friend class Readiness;
  void shutdown() noexcept override;
  void arm();
  void rest() noexcept;  // disarms when nobody waits
  void open_outbox() noexcept;
  void dispatch();
  void forget(Readiness& readiness) noexcept;

  boost::asio::posix::basic_stream_descriptor<Executor> epoll_;
  Readiness* first_ = nullptr;  // every Readiness that exists
  Outbox outbox_;
  std::span<Readiness*> at_hand_;  // what dispatch() goes through: whoever ends meanwhile is blanked in it
  std::size_t waiting_ = 0;        // waiters of all
  bool armed_ = false;
  bool is_down_ = false;
  bool is_round_posted_ = false;
};

// One socket's share. The owner reads and writes the socket itself and notes what the kernel said:
// may_read()/may_write() true means "try"; a would-block is noted, and then wait() sleeps until the kernel reports a change.
class Readiness {
 public:
  enum class Role : std::uint8_t { reader, writer, sender };    // who waits: one each at most
  enum class Direction : std::uint8_t { read, write, either };  // for what

  Readiness(boost::asio::io_context& context, int socket);  // throws boost::system::system_error when epoll refuses the socket
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  [[nodiscard]] bool may_read() const noexcept { return readable_; }
  [[nodiscard]] bool may_write() const noexcept { return writable_; }
  [[nodiscard]] bool may(Direction direction) const noexcept {
    return (direction != Direction::write && readable_) || (direction != Direction::read && writable_);
  }
  void note_read_would_block() noexcept { readable_ = false; }
  void note_write_would_block() noexcept { writable_ = false; }
  // A read that got less than it asked for emptied the socket: a read more would only say so. Not when the peer has ended, because the
  // kernel reports the end once.
  void note_short_read() noexcept { readable_ = ended_; }
  void note_readable() noexcept { readable_ = true; }

  // `auto wait = readiness.wait(...); co_await std::move(wait);`: returns at once when the direction is possible, else when it becomes so
  // or wake_all() is called. The caller looks at its own state afterwards.
  struct Start {
    template <class Handler>
    void operator()(Handler&& handler, Readiness* readiness, Role role, Direction direction) const {
      readiness->start_wait(Waiter(std::forward<Handler>(handler)), role, direction);
    }
  };
  struct Wait {
    Readiness* readiness;
    Role role;
    Direction direction;
    template <class Token>
    auto operator()(Token&& token)
        -> decltype(boost::asio::async_initiate<Token, void()>(std::declval<Start>(), token, readiness, role, direction)) {
      return boost::asio::async_initiate<Token, void()>(Start{}, token, readiness, role, direction);
    }
  };
  [[nodiscard]] Wait wait(Role role, Direction direction) noexcept { return Wait{this, role, direction}; }

  // For the socket's own stream, after a would-block: runs the callback when the socket can be written. wake_all() leaves it, close() drops
  // it, and while one waits another is not taken.
  template <class Callback>
  void when_writable(Callback callback) {
    Place& place = places_[static_cast<std::size_t>(Role::sender)];
    if (!place.waiter) start_wait(Waiter(std::move(callback)), Role::sender, Direction::write);
  }
  [[nodiscard]] Outbox& outbox() noexcept { return poller_.outbox_; }
  // Outside of the Poller's rounds, too, the outbox takes what is said now: until what the io_context has been given by then has run.
  void open_outbox() noexcept { poller_.open_outbox(); }

  // Who reads or writes goes on, by way of the io_context: safe to call from anywhere on its thread.
  void wake_all() noexcept;
  // The socket is about to be closed: no event comes any more.
  void close() noexcept;

 private:
  friend class Poller;
  struct Place {
    Waiter waiter;
    Direction direction = Direction::read;
  };
  void start_wait(Waiter waiter, Role role, Direction direction);
  void note(std::uint32_t events) noexcept;
  [[nodiscard]] Waiter take_ready(Role role) noexcept;
  [[nodiscard]] Waiter take(Place& place) noexcept;
  void post(Waiter waiter) noexcept;

  Poller& poller_;
  boost::asio::io_context& context_;
  const int socket_;
  std::array<Place, 3> places_;  // by Role
  Readiness* previous_ = nullptr;
  Readiness* next_ = nullptr;
  bool readable_ = true;  // may be; the first attempt tells
  bool writable_ = true;
  bool ended_ = false;  // the peer's FIN, a reset or an error was reported
  bool closed_ = false;
};

}  // namespace sallyport::transport
