#include "transport/connector.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/basic_resolver.hpp>

namespace sallyport::transport {
namespace {

namespace asio = boost::asio;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Resolver = asio::ip::basic_resolver<asio::ip::tcp, Executor>;
using boost::system::error_code;

// Closes a socket that did not connect in time.
struct Attempt {
  Socket& socket;
  bool timed_out = false;

  static void on_expiry(void* attempt) {
    auto& self = *static_cast<Attempt*>(attempt);
    self.timed_out = true;
    error_code ignored;
    self.socket.close(ignored);
  }
};

Task<Result<Socket>> connect_to(asio::ip::tcp::endpoint endpoint, MonotonicTime until, asio::io_context& context,
                                           DeadlineWheel& wheel) {
  const asio::generic::stream_protocol::endpoint address(endpoint);
  Socket socket(context.get_executor());
  error_code opened;
  socket.open(address.protocol(), opened);
  if (opened) co_return make_error(Fault::unavailable, "socket: " + opened.message());
  Attempt attempt{socket};
  Deadline deadline(wheel, &Attempt::on_expiry, &attempt);
  deadline.expire_at(until);
  auto connected = co_await socket.async_connect(address, as_result);
  auto& [ec] = connected;
  deadline.disarm();
  if (attempt.timed_out) co_return make_error(Fault::timed_out, "connecting took too long");
  if (ec) co_return make_error(Fault::unavailable, "connect: " + ec.message());
  co_return socket;
}

}  // namespace

Task<Result<ConnectedSocket>> connect_in_turn(std::vector<asio::ip::tcp::endpoint> addresses, MonotonicTime deadline,
                                              asio::io_context& context, DeadlineWheel& wheel) {
  Error last = make_error(Fault::unavailable, "no address");
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now >= deadline) co_return make_error(Fault::timed_out, "connecting took too long");
    const bool is_last = i + 1 == addresses.size();
    const MonotonicTime until = is_last ? deadline : std::min(deadline, now + kAddressPatience);
    Result<Socket> socket = co_await connect_to(addresses[i], until, context, wheel);
    if (socket) co_return ConnectedSocket{std::move(*socket), i};
    last = socket.error();
  }
  co_return last;
}

struct Connector::Lookup {
  explicit Lookup(asio::io_context& context) : resolver(context.get_executor()) {}

  void wake_all() {
    for (Timer* waiter : waiters) waiter->cancel();
  }

  Resolver resolver;
  Addresses addresses;  // of the last lookup that found any
  MonotonicTime good_until{};
  bool is_literal = false;
  bool running = false;
  std::string failure;
  std::vector<Timer*> waiters;
};

Connector::Connector(std::string host, std::uint16_t port, ssl_ctx_st* tls, std::string tls_name, asio::io_context& context,
                     DeadlineWheel& wheel)
    : host_(std::move(host)),
      port_(port),
      tls_(tls),
      tls_name_(std::move(tls_name)),
      context_(context),
      wheel_(wheel),
      lookup_(std::make_shared<Lookup>(context)) {
  error_code ec;
  const asio::ip::address address = asio::ip::make_address(host_, ec);
  if (!ec) {
    lookup_->is_literal = true;
    lookup_->addresses.emplace_back(address, port_);
  }
}

Connector::~Connector() { lookup_->resolver.cancel(); }

void Connector::begin_lookup() {
  lookup_->running = true;
  // A plain handler, not a coroutine: the resolver's thread cannot be interrupted, so nobody may have to wait for it to end.
  lookup_->resolver.async_resolve(host_, std::to_string(port_), asio::ip::resolver_base::numeric_service,
                                  [lookup = lookup_](const error_code& ec, const Resolver::results_type& results) {
                                    lookup->running = false;
                                    lookup->failure.clear();
                                    if (ec || results.empty()) {
                                      lookup->failure = ec ? ec.message() : "no address";
                                    } else {
                                      lookup->addresses.clear();
                                      for (const auto& entry : results) {
                                        if (lookup->addresses.size() == kAddressesMax) break;
                                        lookup->addresses.push_back(entry.endpoint());
                                      }
                                      lookup->good_until = std::chrono::steady_clock::now() + kNameLife;
                                    }
                                    lookup->wake_all();
                                  });
}

Task<Result<void>> Connector::look_up(MonotonicTime deadline) {
  // Held here: the connector may be gone when the wait is over.
  const std::shared_ptr<Lookup> lookup = lookup_;
  const bool known = !lookup->addresses.empty();
  if (known && (lookup->is_literal || std::chrono::steady_clock::now() < lookup->good_until)) co_return Result<void>();
  if (!lookup->running) begin_lookup();
  // With old addresses at hand a slow resolver must leave time to try them.
  const MonotonicTime now = std::chrono::steady_clock::now();
  Timer waiter(context_.get_executor());
  waiter.expires_at(lookup->addresses.empty() ? deadline : now + (deadline - now) / 2);
  lookup->waiters.push_back(&waiter);
  auto waited = co_await waiter.async_wait(as_result);
  (void)waited;  // cancelled means woken; either way `running` tells
  std::erase(lookup->waiters, &waiter);
  if (!lookup->addresses.empty()) co_return Result<void>();
  if (lookup->running) co_return make_error(Fault::timed_out, "looking up the name took too long");
  co_return make_error(Fault::not_found, "looking up the name: " + lookup->failure);
}

Task<Result<std::unique_ptr<Stream>>> Connector::connect(std::chrono::milliseconds timeout) {
  const MonotonicTime deadline = std::chrono::steady_clock::now() + timeout;
  const Result<void> found = co_await look_up(deadline);
  if (!found) co_return found.error();
  const Addresses addresses = lookup_->addresses;  // a lookup may replace them while we wait
  Result<ConnectedSocket> connected = co_await connect_in_turn(addresses, deadline, context_, wheel_);
  if (!connected) co_return connected.error();
  // The next connection begins with the address that answered.
  Addresses& known = lookup_->addresses;
  const auto answered = std::find(known.begin(), known.end(), addresses[connected->address]);
  if (answered != known.end()) std::rotate(known.begin(), answered, answered + 1);
  auto stream = std::make_unique<Stream>(std::move(connected->socket), wheel_);
  if (tls_ != nullptr) {
    stream->expire_at(deadline);
    const Result<void> secured = co_await stream->connect_tls(tls_, tls_name_);
    if (!secured) co_return secured.error();
    stream->never_expire();
  }
  co_return stream;
}

}  // namespace sallyport::transport
