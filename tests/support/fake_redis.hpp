// A Redis that answers as the test says: wrong types, huge counts, other people's replies, half of one. For what a real one does not do
// on demand (hazards N06-N08).
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/scripted_upstream.hpp"

namespace sallyport::test {

using Words = std::vector<std::string>;

inline std::string bulk(std::string_view text) { return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n"; }
inline std::string array(const std::vector<std::string>& replies) {
  std::string out = "*" + std::to_string(replies.size()) + "\r\n";
  for (const std::string& reply : replies) out += reply;
  return out;
}
inline std::string integer(long long value) { return ":" + std::to_string(value) + "\r\n"; }

// Answers everything that a connection says at its beginning as a healthy server does: AUTH, SELECT, CLIENT, PING, SCRIPT LOAD (each
// script's hash is a number of its own), TIME, INFO, CONFIG, XRANGE, MULTI and what follows. What a script is to answer is the test's.
class FakeRedis {
 public:
  // What is sent for a command; nullopt: what a healthy server would. "" says nothing; `close` after it ends the connection.
  struct Reply {
    std::string bytes;
    bool close = false;
  };
  using Answer = std::function<std::optional<Reply>(const Words& words, int connection)>;

  explicit FakeRedis(Answer answer) : answer_(std::move(answer)), server_({[this](testing::Peer& peer) { serve(peer); }}) {}

  [[nodiscard]] std::uint16_t port() const { return server_.port(); }
  [[nodiscard]] int connections() const { return server_.connections(); }
  // The commands that came so far, but for PING.
  [[nodiscard]] std::vector<Words> heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

  // For scripts: the key that the question was about.
  static const std::string& key_of(const Words& words) { return words.at(3); }
  static bool is_script(const Words& words) { return words.at(0).starts_with("EVAL"); }

 private:
  static Words read_command(testing::Peer& peer) {
    const std::string count = read_line(peer);
    Words words;
    if (count.size() < 2 || count[0] != '*') return words;
    const long number = std::stol(count.substr(1));
    for (long i = 0; i < number; ++i) {
      const std::string size = read_line(peer);
      if (size.size() < 2 || size[0] != '$') return {};
      const auto bytes = static_cast<std::size_t>(std::stol(size.substr(1)));
      words.push_back(peer.read_exactly(bytes));
      if (words.back().size() != bytes) return {};
      peer.read_exactly(2);
    }
    return words;
  }
  static std::string read_line(testing::Peer& peer) {
    std::string line;
    for (;;) {
      const std::string byte = peer.read_exactly(1);
      if (byte.empty()) return "";
      line += byte;
      if (line.ends_with("\r\n")) return line.substr(0, line.size() - 2);
    }
  }

  void serve(testing::Peer& peer) {
    const int connection = next_connection();
    bool is_transaction = false;
    int scripts = 0;
    for (;;) {
      const Words words = read_command(peer);
      if (words.empty()) return;
      if (words[0] != "PING") {
        const std::lock_guard lock(mutex_);
        heard_.push_back(words);
      }
      std::optional<Reply> reply = answer_(words, connection);
      if (!reply) reply = Reply{healthy(words, is_transaction, scripts, connection)};
      if (!peer.write(reply->bytes) || reply->close) return;
    }
  }
  int next_connection() {
    const std::lock_guard lock(mutex_);
    return ++connection_;
  }

  static std::string healthy(const Words& words, bool& is_transaction, int& scripts, int connection) {
    const std::string& name = words[0];
    if (name == "PING") return words.size() == 1 ? "+PONG\r\n" : array({bulk("pong"), bulk(words[1])});
    if (name == "MULTI") is_transaction = true;
    if (name == "EXEC") {
      is_transaction = false;
      const std::string channel = "__redis__:invalidate";
      return array({"*0\r\n", array({bulk("subscribe"), bulk(channel), integer(1)}), array({bulk("subscribe"), bulk("r"), integer(2)})});
    }
    if (is_transaction && name != "MULTI") return "+QUEUED\r\n";
    if (name == "SCRIPT") {
      const std::string number = std::to_string(++scripts);
      return bulk(std::string(40 - number.size(), '0') + number);
    }
    if (name == "CLIENT" && words.at(1) == "ID") return integer(connection);
    if (name == "TIME") return array({bulk("1700000000"), bulk("0")});
    if (name == "INFO") return bulk("# Server\r\nredis_version:7.0.15\r\n");
    if (name == "CONFIG") return array({bulk("maxmemory-policy"), bulk("noeviction")});
    if (name == "XRANGE") return "*0\r\n";
    if (name.starts_with("EVAL")) return "-ERR the test did not say\r\n";
    return "+OK\r\n";
  }

  Answer answer_;
  mutable std::mutex mutex_;
  std::vector<Words> heard_;
  int connection_ = 0;
  testing::ScriptedUpstream server_;  // last: its threads use the rest
};

}  // namespace sallyport::test
