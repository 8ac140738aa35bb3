#include "transport/connector.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>
#include <utility>

#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "base/timer.hpp"

namespace sallyport::transport {
namespace {

namespace asio = boost::asio;
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

// Asio's own open() leaves the socket to whatever this process starts: a successor (app/restart.hpp) would hold it open for ever.
void open_socket(Socket& socket, const asio::generic::stream_protocol& protocol, error_code& ec) {
  const int descriptor = ::socket(protocol.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol.protocol());
  if (descriptor < 0) {
    ec.assign(errno, boost::system::system_category());
    return;
  }
  socket.assign(protocol, descriptor, ec);
  if (ec) ::close(descriptor);
}

Task<Result<Socket>> connect_to(asio::generic::stream_protocol::endpoint address, MonotonicTime until, asio::io_context& context, DeadlineWheel& wheel) {
  Socket socket(context.get_executor());
  error_code opened;
  open_socket(socket, address.protocol(), opened);
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

// Attempts under way beside each other. Shared with their handlers, which may come back when nobody waits any more.
struct Race : std::enable_shared_from_this<Race> {
  Race(std::vector<asio::ip::tcp::endpoint> list, asio::io_context& io_context)
      : addresses(std::move(list)), context(io_context), waiter(io_context.get_executor()) {}

  [[nodiscard]] bool is_decided() const { return winner || (begun == addresses.size() && under_way == 0); }

  void begin_next() {
    const std::size_t index = begun++;
    Socket& socket = *sockets.emplace_back(std::make_unique<Socket>(context.get_executor()));
    const asio::generic::stream_protocol::endpoint address(addresses[index]);
    error_code ec;
    open_socket(socket, address.protocol(), ec);
    if (ec) {
      failure = "socket: " + ec.message();
      return;
    }
    ++under_way;
    socket.async_connect(address, [race = shared_from_this(), index](const error_code& result) { race->ended(index, result); });
  }
  void ended(std::size_t index, const error_code& ec) {
    --under_way;
    if (winner) return;
    if (ec) {
      failure = "connect: " + ec.message();
    } else {
      winner = index;
    }
    waiter.cancel();
  }
  void end() {
    for (const std::unique_ptr<Socket>& socket : sockets) {
      error_code ignored;
      socket->close(ignored);
    }
  }

  std::vector<asio::ip::tcp::endpoint> addresses;
  asio::io_context& context;
  Timer waiter;
  std::vector<std::unique_ptr<Socket>> sockets;  // of addresses[i]
  std::size_t begun = 0;
  std::size_t under_way = 0;
  std::optional<std::size_t> winner;
  std::string failure = "no address";
};

}  // namespace

std::vector<asio::ip::tcp::endpoint> interleave_families(std::vector<asio::ip::tcp::endpoint> addresses) {
  if (addresses.empty()) return addresses;
  const bool begins_with_v6 = addresses.front().address().is_v6();
  const auto is_other = [begins_with_v6](const auto& endpoint) { return endpoint.address().is_v6() != begins_with_v6; };
  std::vector<asio::ip::tcp::endpoint> others;
  std::ranges::copy_if(addresses, std::back_inserter(others), is_other);
  std::erase_if(addresses, is_other);
  std::size_t place = 1;
  for (const auto& endpoint : others) {
    addresses.insert(addresses.begin() + static_cast<std::ptrdiff_t>(std::min(place, addresses.size())), endpoint);
    place += 2;
  }
  return addresses;
}

Task<Result<ConnectedSocket>> connect_in_turn(std::vector<asio::ip::tcp::endpoint> addresses, MonotonicTime deadline,
                                              asio::io_context& context, DeadlineWheel& wheel) {
  if (addresses.size() == 1) {
    Result<Socket> socket = co_await connect_to(asio::generic::stream_protocol::endpoint(addresses.front()), deadline, context, wheel);
    if (!socket) co_return socket.error();
    co_return ConnectedSocket{std::move(*socket), 0};
  }
  const auto race = std::make_shared<Race>(std::move(addresses), context);
  while (!race->is_decided()) {
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now >= deadline) break;
    if (race->begun < race->addresses.size()) race->begin_next();
    if (race->is_decided()) break;
    if (race->under_way == 0) continue;
    const bool is_last = race->begun == race->addresses.size();
    race->waiter.expires_at(is_last ? deadline : std::min(deadline, now + kAddressPatience));
    auto waited = co_await race->waiter.async_wait(as_result);
    static_cast<void>(waited);
    // With the last one begun, a failure of one of several is waited through.
    while (!race->is_decided() && race->begun == race->addresses.size() && std::chrono::steady_clock::now() < deadline) {
      race->waiter.expires_at(deadline);
      auto again = co_await race->waiter.async_wait(as_result);
      static_cast<void>(again);
    }
  }
  if (!race->winner) {
    const bool is_late = !race->is_decided();
    race->end();
    co_return make_error(is_late ? Fault::timed_out : Fault::unavailable, is_late ? "connecting took too long" : race->failure);
  }
  ConnectedSocket connected{std::move(*race->sockets[*race->winner]), *race->winner};
  race->end();
  co_return connected;
}

struct Connector::Lookup {
  explicit Lookup(asio::io_context& context) : resolver(context.get_executor()) {}

  void take(const Resolver::results_type& results) {
    Addresses found;
    for (const auto& entry : results) {
      if (found.size() == kAddressesMax) break;
      found.push_back(entry.endpoint());
    }
    found = interleave_families(std::move(found));
    const auto has_left = [&found](const auto& address) { return std::ranges::find(found, address) == found.end(); };
    if (std::ranges::any_of(addresses, has_left)) ++generation;
    addresses = std::move(found);
    good_until = std::chrono::steady_clock::now() + kNameLife;
  }
  void wake_all() {
    for (Timer* waiter : waiters) waiter->cancel();
  }

  Resolver resolver;
  Addresses addresses;  // of the last lookup that found any
  MonotonicTime good_until{};
  std::uint32_t generation = 0;
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

Connector::Connector(UnixPath path, asio::io_context& context, DeadlineWheel& wheel)
    : unix_path_(std::move(path.path)),
      port_(0),
      tls_(nullptr),
      context_(context),
      wheel_(wheel),
      lookup_(std::make_shared<Lookup>(context)) {
  lookup_->is_literal = true;
}

Connector::~Connector() { lookup_->resolver.cancel(); }

void Connector::refresh() {
  const Lookup& lookup = *lookup_;
  if (lookup.is_literal || lookup.running || lookup.addresses.empty() || wheel_.coarse_now() < lookup.good_until) return;
  begin_lookup();
}

std::uint32_t Connector::generation() const noexcept { return lookup_->generation; }

void Connector::begin_lookup() {
  lookup_->running = true;
  // A plain handler, not a coroutine: the resolver's thread cannot be interrupted, so nobody may have to wait for it to end.
  lookup_->resolver.async_resolve(host_, std::to_string(port_), asio::ip::resolver_base::numeric_service,
                                  [lookup = lookup_](const error_code& ec, const Resolver::results_type& results) {
                                    lookup->running = false;
                                    lookup->failure.clear();
                                    if (ec || results.empty()) {
                                      // Not at once again: refresh() would ask with every request.
                                      lookup->good_until = std::max(lookup->good_until, std::chrono::steady_clock::now() + kRetryAfter);
                                      lookup->failure = ec ? ec.message() : "no address";
                                    } else {
                                      lookup->take(results);
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
  if (!unix_path_.empty()) co_return co_await connect_to_path(deadline);
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

Task<Result<std::unique_ptr<Stream>>> Connector::connect_to_path(MonotonicTime deadline) {
  const asio::local::stream_protocol::endpoint address(unix_path_);
  Result<Socket> socket = co_await connect_to(asio::generic::stream_protocol::endpoint(address), deadline, context_, wheel_);
  if (!socket) co_return socket.error();
  co_return std::make_unique<Stream>(std::move(*socket), wheel_);
}

}  // namespace sallyport::transport
