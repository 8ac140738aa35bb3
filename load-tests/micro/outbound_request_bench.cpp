#include "identity/outbound_request.hpp"

#include <memory>

#include "request.hpp"
#include "stage.hpp"
#include "support/identity_builder.hpp"
#include "support/permit_builder.hpp"

namespace sallyport::micro {
namespace {

class Writing {
 public:
  Writing() { plan_.headers = identity::default_identity_headers(); }
  [[nodiscard]] bool run() {
    out_.clear();
    const identity::OutboundContext context{
        .client_address = "192.0.2.7", .scheme = "https", .request_id = "0a1b2c3d4e5f", .traceparent = kTraceparent};
    const auto built = identity::OutboundRequest::build(permit_, plan_, owned_, request_.head(), context, out_);
    return std::holds_alternative<identity::OutboundRequest>(built);
  }
  [[nodiscard]] std::string_view written() const noexcept { return out_.view(); }

 private:
  static constexpr std::string_view kTraceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  ParsedRequest request_{bearer(kSignedTokens[2])};
  identity::OutboundPlan plan_;
  identity::OwnedNames owned_{{}};
  identity::Permit permit_ = testing::PermitBuilder::of(
      testing::IdentityBuilder().subject("user-0001").roles({"reader"}).scopes({"orders:read", "orders:write"}).build());
  ByteBuffer out_;
};

}  // namespace

void add_outbound(std::vector<Stage>& to) {
  to.push_back({"head for the upstream",
                [] {
                  auto at = std::make_shared<Writing>();
                  if (!at->run()) throw std::runtime_error("the head is refused");
                  return [at] { keep(at->run()); };
                },
                [] {
                  Writing once;
                  if (!once.run()) throw std::runtime_error("the head is refused");
                  return [out = std::make_shared<ByteBuffer>(), head = std::string(once.written())] {
                    out->clear();
                    out->append(head);
                    keep(out->view().data());
                  };
                },
                "one copy of what is written"});
}

}  // namespace sallyport::micro
