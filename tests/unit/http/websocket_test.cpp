#include "http/websocket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/request_parser.hpp"
#include "http/response_parser.hpp"
#include "support/websocket_frames.hpp"

namespace sallyport::http {
namespace {

using testing::client_frame;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::server_frame;

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // of RFC 6455 §1.3
constexpr std::string_view kGood =
    "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

// Keeps the text that the head's views point into.
struct Request {
  explicit Request(std::string raw) : text(std::move(raw)) {
    Limits limits;
    RequestParser parser(limits);
    const HeadOutcome outcome = parser.parse(text, head);
    EXPECT_TRUE(std::holds_alternative<HeadParsed>(outcome)) << text;
  }
  Request(const Request&) = delete;
  std::string text;
  RequestHead head;
};

std::string replaced(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to) + "\r\n";
}

// 101, or the status that the refusal is.
int verdict(const std::string& raw) {
  const Request request(raw);
  const auto read = read_handshake(request.head);
  const auto* refused = std::get_if<HandshakeRefused>(&read);
  if (refused == nullptr) return 101;
  return refused->why == HandshakeRefused::Why::version ? 426 : 400;
}

TEST(WebSocketHandshake, ReadsAGoodOne) {
  const Request request(std::string(kGood) +
                        "Sec-WebSocket-Protocol: chat, superchat\r\nsec-websocket-protocol: v2\r\n"
                        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n");
  ASSERT_TRUE(asks_for_websocket(request.head));
  const auto read = read_handshake(request.head);
  ASSERT_TRUE(std::holds_alternative<WebSocketHandshake>(read));
  const auto& handshake = std::get<WebSocketHandshake>(read);
  EXPECT_EQ(handshake.key, kKey);
  EXPECT_THAT(handshake.protocol_lines, ElementsAre("chat, superchat", "v2"));
  EXPECT_THAT(handshake.extension_lines, ElementsAre("permessage-deflate; client_max_window_bits"));
}

TEST(WebSocketHandshake, Q02_RefusesAnotherVersionWith426) {
  EXPECT_EQ(verdict(std::string(kGood) + "\r\n"), 101);
  EXPECT_EQ(verdict(replaced("Version: 13", "Version: 12")), 426);
  EXPECT_EQ(verdict(replaced("Version: 13", "Version: 013")), 426);
  EXPECT_EQ(verdict(replaced("Version: 13", "Version: 13, 8")), 426);
  EXPECT_EQ(verdict(replaced("Sec-WebSocket-Version: 13\r\n", "")), 426);
  EXPECT_EQ(verdict(replaced("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n")), 426);
}

TEST(WebSocketHandshake, Q02_RefusesWhatIsNoneWith400) {
  EXPECT_EQ(verdict(replaced("GET /chat", "POST /chat")), 400);
  EXPECT_EQ(verdict(replaced("HTTP/1.1", "HTTP/1.0")), 400);
  EXPECT_EQ(verdict(replaced("Connection: keep-alive, Upgrade\r\n", "")), 400);
  EXPECT_EQ(verdict(replaced("Connection: keep-alive, Upgrade", "Connection: keep-alive")), 400);
  EXPECT_EQ(verdict(replaced("Upgrade: WebSocket", "Upgrade: websocket, foo")), 400);
  EXPECT_EQ(verdict(replaced("Upgrade: WebSocket", "Upgrade: websocket\r\nUpgrade: websocket")), 400);
  EXPECT_EQ(verdict(replaced("Upgrade: WebSocket\r\n", "Upgrade: WebSocket\r\nContent-Length: 5\r\n")), 400);
}

TEST(WebSocketHandshake, Q02_WantsOneKeyOfSixteenBytes) {
  const auto with_key = [](std::string_view key) { return verdict(replaced(kKey, key)); };
  EXPECT_EQ(with_key("AAAAAAAAAAAAAAAAAAAAAA=="), 101);
  EXPECT_EQ(with_key("+/AAAAAAAAAAAAAAAAAAAw=="), 101);
  EXPECT_EQ(with_key(""), 400);
  EXPECT_EQ(with_key("dGhlIHNhbXBsZSBub25jZQ"), 400) << "no padding";
  EXPECT_EQ(with_key("dGhlIHNhbXBsZSBub25jZR=="), 400) << "bits left over";
  EXPECT_EQ(with_key("dGhlIHNhbXBsZSBub25j"), 400) << "15 bytes";
  EXPECT_EQ(with_key("dGhlIHNhbXBsZSBub25jZXM="), 400) << "17 bytes";
  EXPECT_EQ(with_key("dGhlIHNhbXBsZSBub25j-Q=="), 400) << "another alphabet";
  EXPECT_EQ(verdict(replaced("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")), 400);
  EXPECT_EQ(verdict(std::string(kGood) + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"), 400) << "two keys";
}

TEST(WebSocketHandshake, WantsProtocolsToBeDifferentTokens) {
  const auto with = [](std::string_view line) {
    return verdict(std::string(kGood) + "Sec-WebSocket-Protocol: " + std::string(line) + "\r\n\r\n");
  };
  EXPECT_EQ(with("chat, v2"), 101);
  EXPECT_EQ(with("chat, chat"), 400);
  EXPECT_EQ(with("chat, \"v2\""), 400);
  EXPECT_EQ(with("a b"), 400);
}

TEST(WebSocketHandshake, Q08_IsAskedForByTheNameWebsocketOnly) {
  const auto asks = [](std::string_view upgrade) {
    const Request request(replaced("Upgrade: WebSocket", "Upgrade: " + std::string(upgrade)));
    return asks_for_websocket(request.head);
  };
  EXPECT_TRUE(asks("websocket"));
  EXPECT_TRUE(asks("foo, WEBSOCKET"));
  EXPECT_FALSE(asks("h2c"));
  EXPECT_FALSE(asks("foo"));
  EXPECT_FALSE(asks("websockets"));
  EXPECT_FALSE(asks(""));
}

TEST(WebSocketHandshake, KnowsItsFieldsHoweverTheyAreSpelled) {
  EXPECT_TRUE(is_websocket_field("Sec-WebSocket-Key"));
  EXPECT_TRUE(is_websocket_field("SEC_WEBSOCKET_KEY"));
  EXPECT_TRUE(is_websocket_field("sec.websocket-Anything"));
  EXPECT_FALSE(is_websocket_field("Sec-WebSocket"));
  EXPECT_FALSE(is_websocket_field("Sec-Fetch-Site"));
  EXPECT_FALSE(is_websocket_field("X-Sec-WebSocket-Key"));
}

TEST(WebSocketHandshake, ComputesTheAcceptOfTheStandardsExample) { EXPECT_EQ(accept_of(kKey), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); }

struct Answer {
  explicit Answer(std::string_view fields, std::string_view line = "HTTP/1.1 101 Switching Protocols") {
    text = std::string(line) + "\r\n" + std::string(fields) + "\r\n";
    ResponseParser parser;
    const ResponseOutcome outcome = parser.parse(text, Method::get, head);
    EXPECT_TRUE(std::holds_alternative<HeadParsed>(outcome)) << text;
  }
  Answer(const Answer&) = delete;
  std::string text;
  ResponseHead head;
};

constexpr std::string_view kSwitch = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
constexpr std::string_view kAccept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

// Why the answer is refused; empty when it is not.
std::string refusal(const std::string& fields, std::string_view line = "HTTP/1.1 101 Switching Protocols") {
  const Request request(std::string(kGood) + "Sec-WebSocket-Protocol: chat, v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
  const auto handshake = std::get<WebSocketHandshake>(read_handshake(request.head));
  const Answer answer(fields, line);
  const auto read = read_handshake_answer(answer.head, handshake, accept_of(handshake.key));
  const auto* why = std::get_if<std::string_view>(&read);
  return why == nullptr ? "" : std::string(*why);
}

TEST(WebSocketAnswer, AcceptsAGoodOne) {
  const std::string good = std::string(kSwitch) + std::string(kAccept);
  EXPECT_THAT(refusal(good), IsEmpty());
  EXPECT_THAT(refusal("upgrade: WebSocket\r\nconnection: close, UPGRADE\r\n" + std::string(kAccept)), IsEmpty());
  EXPECT_THAT(refusal(good + "Sec-WebSocket-Protocol: v2\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"),
              IsEmpty());
}

TEST(WebSocketAnswer, RefusesASwitchToSomethingElse) {
  const std::string accept(kAccept);
  EXPECT_THAT(refusal("Upgrade: foo\r\nConnection: Upgrade\r\n" + accept), HasSubstr("no WebSocket"));
  EXPECT_THAT(refusal("Upgrade: websocket\r\n" + accept), HasSubstr("no WebSocket"));
  EXPECT_THAT(refusal("Connection: Upgrade\r\n" + accept), HasSubstr("no WebSocket"));
  EXPECT_THAT(refusal("Upgrade: websocket, foo\r\nConnection: Upgrade\r\n" + accept), HasSubstr("no WebSocket"));
  EXPECT_THAT(refusal(std::string(kSwitch) + accept, "HTTP/1.0 101 S"), HasSubstr("no WebSocket"));
}

TEST(WebSocketAnswer, RefusesAWrongProof) {
  EXPECT_THAT(refusal(std::string(kSwitch)), HasSubstr("Accept"));
  EXPECT_THAT(refusal(std::string(kSwitch) + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n"), HasSubstr("Accept"));
  EXPECT_THAT(refusal(std::string(kSwitch) + std::string(kAccept) + std::string(kAccept)), HasSubstr("Accept"));
}

TEST(WebSocketAnswer, RefusesWhatWasNotOffered) {
  const std::string good = std::string(kSwitch) + std::string(kAccept);
  EXPECT_THAT(refusal(good + "Sec-WebSocket-Protocol: v3\r\n"), HasSubstr("protocol"));
  EXPECT_THAT(refusal(good + "Sec-WebSocket-Protocol: chat, v2\r\n"), HasSubstr("protocol"));
  EXPECT_THAT(refusal(good + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: v2\r\n"), HasSubstr("protocol"));
  EXPECT_THAT(refusal(good + "Sec-WebSocket-Extensions: x-other\r\n"), HasSubstr("extension"));
}

// Takes the bytes whole, and then one by one: the verdict must be the same.
struct Taken {
  bool good;
  bool at_border;
  std::uint64_t remaining;
  bool operator==(const Taken&) const = default;
};
Taken take(FrameBorders::Sender sender, std::string_view bytes) {
  FrameBorders whole(sender);
  FrameBorders pieces(sender);
  const bool good = whole.take(bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) static_cast<void>(pieces.take(bytes.substr(i, 1)));
  EXPECT_EQ(pieces.broken(), !good);
  if (good) {
    EXPECT_EQ(pieces.at_border(), whole.at_border());
    EXPECT_EQ(pieces.remaining(), whole.remaining());
  }
  return {good, whole.at_border(), whole.remaining()};
}
bool server_may(std::string_view bytes) { return take(FrameBorders::Sender::server, bytes).good; }
bool client_may(std::string_view bytes) { return take(FrameBorders::Sender::client, bytes).good; }

TEST(FrameBorders, StandsAtABorderBetweenFramesOnly) {
  const std::string frames = server_frame(1, "hello") + server_frame(2, std::string(200, 'x')) + server_frame(2, std::string(70'000, 'y'));
  std::vector<std::size_t> borders;
  FrameBorders tracker(FrameBorders::Sender::server);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_TRUE(tracker.take(std::string_view(frames).substr(i, 1)));
    if (tracker.at_border()) borders.push_back(i + 1);
  }
  EXPECT_THAT(borders, ElementsAre(7, 7 + 204, 7 + 204 + 70'010));
}

TEST(FrameBorders, SaysWhatIsMissingOfAFrame) {
  const std::string frame = server_frame(2, std::string(300, 'x'));
  const auto after = [&](std::size_t bytes) {
    return take(FrameBorders::Sender::server, std::string_view(frame).substr(0, bytes)).remaining;
  };
  EXPECT_EQ(after(0), 0U);
  EXPECT_EQ(after(1), 1U);
  EXPECT_EQ(after(2), 2U);
  EXPECT_EQ(after(3), 1U);
  EXPECT_EQ(after(4), 300U);
  EXPECT_EQ(after(303), 1U);
  EXPECT_EQ(after(304), 0U);
  EXPECT_EQ(take(FrameBorders::Sender::client, std::string_view("\x81\x85", 2)).remaining, 4U) << "the mask";
}

TEST(FrameBorders, LetsControlFramesStandBetweenFragments) {
  EXPECT_TRUE(server_may(server_frame(1, "a", false) + server_frame(9, "ping") + server_frame(0, "b", false) + server_frame(0, "c")));
  EXPECT_FALSE(server_may(server_frame(1, "a", false) + server_frame(1, "b")));
  EXPECT_FALSE(server_may(server_frame(0, "b")));
  EXPECT_FALSE(server_may(server_frame(1, "a") + server_frame(0, "b")));
}

TEST(FrameBorders, WantsClientsToMaskAndServersNotTo) {
  EXPECT_TRUE(client_may(client_frame(1, "hello")));
  EXPECT_FALSE(client_may(server_frame(1, "hello")));
  EXPECT_TRUE(server_may(server_frame(1, "hello")));
  EXPECT_FALSE(server_may(client_frame(1, "hello")));
}

TEST(FrameBorders, Q06_RefusesALengthWithItsTopBitSet) {
  const auto with_length = [](std::initializer_list<int> bytes) {
    std::string header("\x82\x7F", 2);
    for (const int byte : bytes) header.push_back(static_cast<char>(byte));
    return header;
  };
  EXPECT_TRUE(server_may(with_length({0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})));
  EXPECT_FALSE(server_may(with_length({0x80, 0, 0, 0, 0, 1, 0, 0})));
  EXPECT_FALSE(server_may(with_length({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF})));
}

TEST(FrameBorders, Q06_RefusesALengthThatIsLongerThanItNeedBe) {
  EXPECT_FALSE(server_may(std::string("\x82\x7E\x00\x7D", 4)));
  EXPECT_TRUE(server_may(std::string("\x82\x7E\x00\x7E", 4)));
  EXPECT_FALSE(server_may(std::string("\x82\x7F\x00\x00\x00\x00\x00\x00\xFF\xFF", 10)));
  EXPECT_TRUE(server_may(std::string("\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00", 10)));
}

TEST(FrameBorders, Q06_RefusesLongOrFragmentedControlFrames) {
  EXPECT_TRUE(server_may(server_frame(9, std::string(125, 'x'))));
  EXPECT_FALSE(server_may(std::string("\x89\x7E\x00\x7E", 4)));
  EXPECT_FALSE(server_may(server_frame(9, "x", false)));
}

TEST(FrameBorders, Q06_RefusesReservedOpcodes) {
  for (int opcode = 0; opcode < 16; ++opcode) {
    const bool is_known = opcode == 1 || opcode == 2 || (opcode >= 8 && opcode <= 10);
    EXPECT_EQ(server_may(server_frame(opcode, "x")), is_known) << opcode;
  }
}

TEST(FrameBorders, LetsExtensionsUseTheReservedBits) { EXPECT_TRUE(server_may(std::string("\xC1\x01x", 3))); }

TEST(FrameBorders, LetsNothingFollowAClose) {
  FrameBorders tracker(FrameBorders::Sender::server);
  EXPECT_FALSE(tracker.closing());
  EXPECT_TRUE(tracker.take(server_frame(8, "\x03\xE8")));
  EXPECT_TRUE(tracker.closing());
  EXPECT_TRUE(tracker.at_border());
  EXPECT_FALSE(tracker.take(server_frame(1, "x")));
  EXPECT_TRUE(tracker.broken());
}

TEST(CloseFrame, HasItsCodeAndReason) {
  EXPECT_EQ(close_frame(4401, "over"), std::string("\x88\x06\x11\x31over"));
  EXPECT_EQ(close_frame(1001, std::string(500, 'x')).size(), 2U + 125U);
  EXPECT_TRUE(server_may(close_frame(1001, std::string(500, 'x'))));
}

}  // namespace
}  // namespace sallyport::http
