// What others have to say about an answer: fields that are ours, an interceptor, an interruption.
#include "base/text.hpp"
#include "upstream/forwarding.hpp"

namespace sallyport::upstream {
namespace {

using http::FieldId;

bool is_establishment(const http::Field& field) noexcept {
  return field.id == FieldId::other && identity::fold_alike(field.name, "X-Auth-Establish");
}

// The name under which a browser will send the cookie back (RFC 6265 §5.2). A cookie without a name comes back as its bare value, which
// may look like any cookie: `Set-Cookie: =session=x` is `Cookie: session=x` to whoever reads it.
std::string_view cookie_name(std::string_view set_cookie) noexcept {
  std::string_view pair = trim_ows(set_cookie.substr(0, set_cookie.find(';')));
  while (pair.starts_with('=')) pair = trim_ows(pair.substr(1));
  return trim_ows(pair.substr(0, pair.find('=')));
}

}  // namespace

// A field of ours stands alone: two lines of one name are read as a list, and the upstream's word would count beside ours.
bool Forwarding::is_replaced(const http::Field& field) const noexcept {
  const auto is_same = [&field](const http::Field& ours) {
    return ours.id == field.id && field.id != FieldId::set_cookie && equals_ignoring_case(ours.name, field.name);
  };
  return std::ranges::any_of(policy_.add, is_same) || std::ranges::any_of(added_, is_same);
}

bool Forwarding::drops(const http::Field& field) const noexcept {
  if (field.named_by_connection || field.id >= FieldId::connection) return true;
  switch (field.id) {
    case FieldId::content_length:
    case FieldId::transfer_encoding: return true;  // framing is written anew
    case FieldId::x_request_id: return !policy_.request_id.empty();
    case FieldId::set_cookie:
      return !policy_.our_cookies.empty() && std::ranges::find(policy_.our_cookies, cookie_name(field.value)) != policy_.our_cookies.end();
    default: return (policy_.drop_establish && is_establishment(field)) || is_replaced(field);
  }
}

void Forwarding::gather_fields() {
  std::vector<http::Field>& fields = work_->fields;
  fields.clear();
  for (const http::Field& field : work_->head.fields) {
    if (!drops(field)) {
      fields.push_back(field);
    } else if (policy_.interceptor == nullptr && is_establishment(field)) {
      result_.established_unasked = true;
    }
  }
  // The route's rules are about what the upstream says. What is ours comes behind them and is out of their reach.
  if (policy_.rules != nullptr) apply(*policy_.rules, exchange_.peer().is_tls, fields);
  if (!policy_.request_id.empty()) fields.push_back({"X-Request-Id", policy_.request_id, FieldId::x_request_id});
  fields.insert(fields.end(), policy_.add.begin(), policy_.add.end());
  fields.insert(fields.end(), added_.begin(), added_.end());
}

Task<Progress> Forwarding::intercept() {
  const bool relays = co_await policy_.interceptor->on_answer(work_->head, added_);
  if (is_interrupted_) {
    client_left();
    co_return Progress::failed;
  }
  if (relays) co_return Progress::done;
  co_await withhold();
  co_return Progress::failed;
}

Task<void> Forwarding::withhold() {
  // Nobody reads the rest of the request's body any more (K29).
  if (is_early_) exchange_.close_after();
  start_decoding();
  work_->input.consume(head_bytes_);
  assignment_.succeeded();  // that nobody waits for the rest of its answer is not its fault
  const bool is_clean = co_await drop_body();
  if (is_interrupted_) co_return;  // fail() has said so
  // Broken framing of what nobody wants is no reason to take back what the interceptor has done.
  if (is_clean) {
    complete();
  } else if (stream_) {
    stream_->abort();
    stream_.reset();
  }
  result_.status = ForwardStatus::withheld;
  result_.detail = {};
}

Task<bool> Forwarding::drop_body() {
  std::size_t dropped = 0;
  stream_->expire_after(kDropTimeMax);
  for (;;) {
    std::string_view piece;
    Progress progress = next_piece(piece);
    while (progress == Progress::more && !piece.empty()) {
      dropped += piece.size();
      progress = next_piece(piece);
    }
    if (progress == Progress::done) stream_->never_expire();
    if (progress != Progress::more) co_return progress == Progress::done;
    if (is_early_ || dropped > kDropBytesMax) co_return false;
    const std::span<char> room = body_room();
    const transport::IoResult read = co_await stream_->read_some(room);
    progress = take_body_bytes(read, room.size());
    if (progress != Progress::more) co_return progress == Progress::done;
  }
}

void Forwarding::interrupt() noexcept {
  is_interrupted_ = true;
  if (stream_) stream_->abort();
  exchange_.abort();
}

}  // namespace sallyport::upstream
