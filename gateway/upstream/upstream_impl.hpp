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
      : settings(server), pool(wheel, idle_timeout), connector(server.host, server.port, tls, std::move(tls_name), context, wheel) {}

  const ServerSettings& settings;
  ConnectionPool pool;
  transport::Connector connector;
};

struct Upstream::Impl {
  static constexpr std::size_t kDetailsMax = 64;

  Impl(UpstreamSettings upstream_settings, transport::SslContext tls_context, boost::asio::io_context& io_context,
       transport::DeadlineWheel& wheel);

  // The text with the lifetime that ForwardResult::detail promises. Bounded: beyond kDetailsMax different ones, a general text.
  [[nodiscard]] std::string_view keep_detail(const Error& error);

  UpstreamSettings settings;
  transport::SslContext tls;  // null when no server wants it
  boost::asio::io_context& context;
  Balancer balancer;
  std::vector<std::unique_ptr<Server>> servers;
  WorkspacePool workspaces;
  std::set<std::string> details;  // nodes stay where they are
};

}  // namespace sallyport::upstream
