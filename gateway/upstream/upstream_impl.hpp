// What stands behind an Upstream. For this folder's own files.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transport/connector.hpp"
#include "transport/tls_context.hpp"
#include "upstream/balance.hpp"
#include "upstream/connection_pool.hpp"
#include "upstream/upstream.hpp"
#include "upstream/workspace.hpp"

namespace sallyport::upstream {

struct Server {
  Server(const ServerSettings& server, ssl_ctx_st* tls, std::string tls_name, std::chrono::milliseconds idle_timeout,
         boost::asio::io_context& context, transport::DeadlineWheel& wheel)
      : settings(server),
        pool(wheel, idle_timeout),
        connector(server.unix_path.empty() ? transport::Connector(server.host, server.port, tls, std::move(tls_name), context, wheel)
                                           : transport::Connector(transport::UnixPath{server.unix_path}, context, wheel)) {}

  // A kept connection, unless it goes to an address that the server's name no longer stands for.
  [[nodiscard]] std::unique_ptr<transport::Stream> take_kept() {
    connector.refresh();
    if (generation != connector.generation()) {
      generation = connector.generation();
      pool.clear();
    }
    return pool.take();
  }

  const ServerSettings& settings;
  std::uint32_t generation = 0;  // of the connector, when the connections in the pool were made
  ConnectionPool pool;
  transport::Connector connector;
};

struct Upstream::Impl {
  static constexpr std::size_t kDetailsMax = 64;

  Impl(SharedUpstreamPtr shared_upstream, boost::asio::io_context& io_context, transport::DeadlineWheel& wheel);
  ~Impl() { shared->drop(counts); }

  // The text with the lifetime that ForwardResult::detail promises. Bounded: beyond kDetailsMax different ones, a general text.
  [[nodiscard]] std::string_view keep_detail(const Error& error);

  SharedUpstreamPtr shared;
  const UpstreamSettings& settings;
  std::shared_ptr<UpstreamCounts> counts;
  boost::asio::io_context& context;
  Balancer balancer;
  std::vector<std::unique_ptr<Server>> servers;
  WorkspacePool workspaces;
  std::set<std::string> details;  // nodes stay where they are
};

}  // namespace sallyport::upstream
