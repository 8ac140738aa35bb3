#include "stage.hpp"

namespace sallyport::micro {

std::vector<Stage> stages() {
  std::vector<Stage> all;
  add_heads(all);
  add_routes(all);
  add_verified_tokens(all);
  add_verifications(all);
  add_sessions(all);
  add_decisions(all);
  add_outbound(all);
  add_access_lines(all);
  return all;
}

}  // namespace sallyport::micro
