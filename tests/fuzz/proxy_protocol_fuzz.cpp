// The PROXY header: no more is needed once it is complete, every cut of a header needs more, what follows does not matter, and nothing else
// is believed to be an address.
#include "listen/proxy_protocol.hpp"

#include <cstdint>
#include <string>

#include "fuzz/require.hpp"

using sallyport::IpAddress;
using sallyport::require;
using sallyport::listen::kProxyHeaderBytesMax;
using sallyport::listen::parse_proxy_header;
using sallyport::listen::ProxyHeader;
using State = ProxyHeader::State;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const ProxyHeader whole = parse_proxy_header(bytes);
  switch (whole.state) {
    case State::malformed: break;
    case State::need_more:
      require(whole.size > bytes.size() && whole.size <= kProxyHeaderBytesMax, "more is asked for than there is, and never without end");
      break;
    case State::complete: {
      require(whole.size >= 15 && whole.size <= bytes.size() && whole.size <= kProxyHeaderBytesMax, "a header is within its bounds");
      // A header is a header whatever comes behind it, and no beginning of it is.
      for (std::size_t cut = 0; cut < whole.size; ++cut) {
        const ProxyHeader part = parse_proxy_header(std::string_view(bytes).substr(0, cut));
        require(part.state == State::need_more && part.size > cut && part.size <= whole.size, "every beginning of a header is a beginning");
      }
      const ProxyHeader exact = parse_proxy_header(std::string_view(bytes).substr(0, whole.size));
      require(exact.state == State::complete && exact.size == whole.size && exact.address == whole.address && exact.port == whole.port,
              "what follows a header changes nothing");
      if (whole.address) {
        const auto again = IpAddress::parse(whole.address->text());
        require(again && *again == *whole.address, "an address has one spelling");
      }
      break;
    }
  }
  return 0;
}
