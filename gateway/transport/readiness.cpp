#include "transport/readiness.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <exception>
#include <vector>

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

namespace sallyport::transport {
namespace {

constexpr std::size_t kEventsMax = 128;  // per round; the rest is seen in the next

[[noreturn]] void throw_errno(const char* what) {
  throw boost::system::system_error(boost::system::error_code(errno, boost::system::system_category()), what);
}

int make_epoll() {
  const int descriptor = ::epoll_create1(EPOLL_CLOEXEC);
  if (descriptor < 0) throw_errno("epoll_create1");
  return descriptor;
}

}  // namespace

boost::asio::execution_context::id Poller::id;

Poller::Poller(boost::asio::execution_context& context)
    : boost::asio::execution_context::service(context),
      epoll_(static_cast<boost::asio::io_context&>(context).get_executor(), make_epoll()) {}

Poller::~Poller() = default;

// The io_context ends. Suspended coroutines are destroyed here, as Asio destroys its own operations; with them go the Readiness
// objects in their frames.
void Poller::shutdown() noexcept {
  is_down_ = true;
  boost::system::error_code ignored;
  epoll_.close(ignored);
  std::vector<Waiter> ended;  // first out of the list, then destroyed: their end changes the list
  for (Readiness* readiness = first_; readiness != nullptr; readiness = readiness->next_) {
    for (Readiness::Place& place : readiness->places_) {
      if (place.waiter) ended.push_back(readiness->take(place));
    }
  }
}

void Poller::arm() {
  if (armed_ || is_down_) return;
  armed_ = true;
  epoll_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& failure) {
    armed_ = false;
    if (is_down_) return;
    if (!failure) dispatch();
    if (waiting_ > 0) arm();
  });
}

void Poller::rest() noexcept {
  if (!armed_ || waiting_ > 0) return;
  boost::system::error_code ignored;
  epoll_.cancel(ignored);
}

void Poller::dispatch() {
  std::array<epoll_event, kEventsMax> events;
  const int count = ::epoll_wait(epoll_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
  if (count <= 0) return;
  std::array<Readiness*, kEventsMax> ready;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    ready[i] = static_cast<Readiness*>(events[i].data.ptr);
    ready[i]->note(events[i].events);
  }
  at_hand_ = std::span(ready).first(static_cast<std::size_t>(count));
  std::exception_ptr thrown;
  outbox_.begin_round();
  for (Readiness*& readiness : at_hand_) {
    for (const auto role : {Readiness::Role::sender, Readiness::Role::reader, Readiness::Role::writer}) {
      if (readiness == nullptr) break;  // ended by someone who was woken before
      Waiter waiter = readiness->take_ready(role);
      if (!waiter) continue;
      try {
        waiter();
      } catch (...) {
        thrown = std::current_exception();  // the others' events must not be lost: they come once
      }
    }
    outbox_.end_turn();
  }
  outbox_.end_round();
  at_hand_ = {};
  if (thrown) {
    if (waiting_ > 0) arm();
    std::rethrow_exception(thrown);
  }
}

void Poller::open_outbox() noexcept {
  if (outbox_.is_open()) {
    if (at_hand_.empty()) outbox_.end_turn();  // dispatch() counts its own
    return;
  }
  if (is_down_) return;
  if (!is_round_posted_) {
    try {
      boost::asio::post(epoll_.get_executor(), [this] {
        is_round_posted_ = false;
        outbox_.end_round();
      });
    } catch (...) {
      return;  // no memory: everything goes out at once
    }
    is_round_posted_ = true;
  }
  outbox_.begin_round();
}

void Poller::forget(Readiness& readiness) noexcept {
  for (Readiness*& other : at_hand_) {
    if (other == &readiness) other = nullptr;
  }
}

Readiness::Readiness(boost::asio::io_context& context, int socket) : poller_(Poller::of(context)), context_(context), socket_(socket) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  if (::epoll_ctl(poller_.epoll_.native_handle(), EPOLL_CTL_ADD, socket, &event) != 0) throw_errno("epoll_ctl");
  next_ = poller_.first_;
  if (next_ != nullptr) next_->previous_ = this;
  poller_.first_ = this;
}

Readiness::~Readiness() {
  close();
  for (Place& place : places_) {
    if (place.waiter) Waiter ended = take(place);
  }
  poller_.rest();
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    poller_.first_ = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
}

void Readiness::note(std::uint32_t events) noexcept {
  constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  if ((events & kEnd) != 0) ended_ = true;
  if ((events & (EPOLLIN | kEnd)) != 0) readable_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable_ = true;
}

Waiter Readiness::take(Place& place) noexcept {
  --poller_.waiting_;
  return std::move(place.waiter);
}

Waiter Readiness::take_ready(Role role) noexcept {
  Place& place = places_[static_cast<std::size_t>(role)];
  if (!place.waiter || !may(place.direction)) return {};
  return take(place);
}

void Readiness::start_wait(Waiter waiter, Role role, Direction direction) {
  if (closed_ || may(direction)) {
    post(std::move(waiter));
    return;
  }
  Place& place = places_[static_cast<std::size_t>(role)];
  place.direction = direction;
  place.waiter = std::move(waiter);
  ++poller_.waiting_;
  poller_.arm();
}

void Readiness::post(Waiter waiter) noexcept {
  boost::asio::post(context_.get_executor(), [woken = std::move(waiter)]() mutable { woken(); });
}

void Readiness::wake_all() noexcept {
  for (const Role role : {Role::reader, Role::writer}) {
    Place& place = places_[static_cast<std::size_t>(role)];
    if (place.waiter) post(take(place));
  }
  poller_.rest();
}

// A close() of the socket would do where nobody else has it. A listening socket that a successor inherits lives on, and any socket while a
// process is being started: its events would still come, to somebody who is gone.
void Readiness::close() noexcept {
  if (!closed_ && !poller_.is_down_) ::epoll_ctl(poller_.epoll_.native_handle(), EPOLL_CTL_DEL, socket_, nullptr);
  closed_ = true;
  poller_.forget(*this);
  Place& sender = places_[static_cast<std::size_t>(Role::sender)];
  if (sender.waiter) Waiter ended = take(sender);  // nothing can be sent any more
}

}  // namespace sallyport::transport
