// `sallyport explain`: one request through the very code that serves, without a server.
#pragma once

#include <string>
#include <vector>

#include "app/commands.hpp"

namespace sallyport::app {

struct ExplainOptions {
  std::string config_path;
  std::string method = "GET";
  std::string url;                   // http(s)://HOST/PATH, or /PATH
  std::vector<std::string> headers;  // "N: V"
  std::string client_address = "127.0.0.1";
};

// Prints each step and its reason. kDone: the request would go upstream. kRefused: it would not, or the configuration is invalid.
[[nodiscard]] int explain(const ExplainOptions& options, const Streams& streams);

}  // namespace sallyport::app
