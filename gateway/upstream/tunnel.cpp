// What becomes of a 101: the rest of the exchange is a tunnel between the two connections.
#include "upstream/forwarding.hpp"

namespace sallyport::upstream {
namespace {

// Ends a tunnel whose caller is let through no longer.
void on_caller_ended(void* tunnel) noexcept { static_cast<http::Tunnel*>(tunnel)->end(http::TunnelEnd::caller_ended); }

}  // namespace

void Forwarding::gather_switch_fields(const http::HandshakeAnswer& answer, std::string_view accept) {
  gather_fields();
  std::vector<http::Field>& fields = work_->fields;
  std::erase_if(fields, [](const http::Field& field) { return http::is_websocket_field(field.name); });
  fields.push_back({"Sec-WebSocket-Accept", accept});
  if (!answer.protocol.empty()) fields.push_back({"Sec-WebSocket-Protocol", answer.protocol});
  for (const std::string_view line : answer.extension_lines) fields.push_back({"Sec-WebSocket-Extensions", line});
}

Task<void> Forwarding::tunnel() {
  const http::WebSocketHandshake& handshake = *request_.websocket();
  const std::string accept = http::accept_of(handshake.key);
  const auto answer = http::read_handshake_answer(work_->head, handshake, accept);
  if (const auto* fault = std::get_if<std::string_view>(&answer)) {
    fail(ForwardStatus::broken, *fault);
    co_return;
  }
  assignment_.succeeded();
  gather_switch_fields(std::get<http::HandshakeAnswer>(answer), accept);
  transport::Stream* const client = co_await exchange_.switch_protocols(work_->fields);
  if (client == nullptr || is_interrupted_) {
    client_left();
    co_return;
  }
  const http::Tunnel::Early early{.of_client = exchange_.early_bytes(), .of_upstream = work_->input.view().substr(head_bytes_)};
  http::Tunnel tunnel(*policy_.tunnels, {.client = *client, .upstream = *stream_}, early, policy_.tunnel_idle_timeout);
  // Memory follows the requests that are in flight: a tunnel may be silent for hours.
  upstream_.workspaces.give(std::move(work_));
  Interruption* const interruption = policy_.interruption;
  if (interruption != nullptr) interruption->arm(&on_caller_ended, &tunnel);
  result_.tunnel_end = co_await tunnel.run();
  if (interruption != nullptr) interruption->arm(nullptr, nullptr);
  exchange_.count_tunnel(tunnel.bytes_from_client(), tunnel.bytes_to_client());
  result_.status = ForwardStatus::answered;
}

}  // namespace sallyport::upstream
