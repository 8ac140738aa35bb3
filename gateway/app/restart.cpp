#include "app/restart.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "listen/inherited_sockets.hpp"

extern char** environ;

namespace sallyport::app {
namespace {

constexpr const char* kVariable = "SALLYPORT_PREDECESSOR";  // the descriptor on which it listens

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

bool begins_with(const char* entry, std::string_view name) {
  return std::strncmp(entry, name.data(), name.size()) == 0 && entry[name.size()] == '=';
}

// Ours, but for what is about us alone.
std::vector<std::string> environment_of_successor(const std::vector<int>& sockets, int pipe) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool is_ours = false;
    for (const char* name : {kVariable, listen::InheritedSockets::kVariable, "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) {
      is_ours = is_ours || begins_with(*entry, name);
    }
    if (!is_ours) all.emplace_back(*entry);
  }
  all.push_back(fmt::format("{}={}", kVariable, pipe));
  all.push_back(fmt::format("{}={}", listen::InheritedSockets::kVariable, listen::InheritedSockets::variable_value(sockets)));
  return all;
}

// What posix_spawn(3) is told; frees itself.
struct SpawnRules {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnRules() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnRules() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnRules(const SpawnRules&) = delete;
  SpawnRules& operator=(const SpawnRules&) = delete;
  // A descriptor onto itself: stays open beyond exec.
  void keep(int descriptor) { ::posix_spawn_file_actions_adddup2(&actions, descriptor, descriptor); }
};

}  // namespace

std::vector<std::string> own_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = std::min(content.find('\0', at), content.size());
    arguments.push_back(content.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

Result<std::unique_ptr<Successor>> Successor::start(boost::asio::io_context& context, const std::vector<std::string>& arguments,
                                                    const std::vector<int>& sockets) {
  if (arguments.empty()) return make_error(Fault::unavailable, "it is not known how this process was started");
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return make_error(Fault::unavailable, std::string("pipe: ") + std::strerror(errno));
  SpawnRules rules;
  rules.keep(ends[1]);
  for (const int socket : sockets) rules.keep(socket);
  std::vector<std::string> argument_texts = arguments;
  std::vector<std::string> environment_texts = environment_of_successor(sockets, ends[1]);
  const std::vector<char*> argument_pointers = pointers(argument_texts);
  const std::vector<char*> environment_pointers = pointers(environment_texts);
  pid_t pid = 0;
  int failed = ::posix_spawnp(&pid, argument_texts.front().c_str(), &rules.actions, &rules.attributes, argument_pointers.data(),
                              environment_pointers.data());
  if (failed == ENOENT || failed == ENOTDIR) {
    failed =
        ::posix_spawn(&pid, "/proc/self/exe", &rules.actions, &rules.attributes, argument_pointers.data(), environment_pointers.data());
  }
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    return make_error(Fault::unavailable, fmt::format("{}: {}", argument_texts.front(), std::strerror(failed)));
  }
  return std::unique_ptr<Successor>(new Successor(context, pid, ends[0]));
}

Successor::Successor(boost::asio::io_context& context, pid_t pid, int pipe)
    : pid_(pid), pipe_(context.get_executor(), pipe), timer_(context.get_executor()) {}

Successor::~Successor() {
  if (!released_ && !ended_) static_cast<void>(end());
}

Task<Successor::Word> Successor::hear(std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    char word = 0;
    const ssize_t size = ::read(pipe_.native_handle(), &word, 1);
    if (size == 1 && word == 's') co_return Word::wants_store;
    if (size == 1 && word == 'r') co_return Word::ready;
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) co_return Word::gone;
    if (std::chrono::steady_clock::now() >= end) co_return Word::silent;
    timer_.expires_after(std::chrono::milliseconds(2));
    auto waited = co_await timer_.async_wait(as_result);
    static_cast<void>(waited);
  }
}

void Successor::tell_to_stop() const noexcept {
  if (!ended_) ::kill(pid_, SIGTERM);
}

std::string Successor::end() {
  if (ended_) return "it has ended";
  ended_ = true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    return "it was ended";
  }
  if (WIFEXITED(status)) return fmt::format("it ended with {}", WEXITSTATUS(status));
  return fmt::format("signal {} ended it", WTERMSIG(status));
}

Predecessor Predecessor::from_environment() {
  Predecessor found;
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return found;
  int descriptor = -1;
  const std::string_view digits(text);
  const auto [rest, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), descriptor);
  const bool is_number = failed == std::errc() && rest == digits.data() + digits.size() && descriptor > 2;
  ::unsetenv(kVariable);
  if (is_number && ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0) found.pipe_ = descriptor;
  return found;
}

Predecessor::Predecessor(Predecessor&& other) noexcept : pipe_(std::exchange(other.pipe_, -1)) {}

Predecessor& Predecessor::operator=(Predecessor&& other) noexcept {
  std::swap(pipe_, other.pipe_);
  return *this;
}

Predecessor::~Predecessor() {
  if (pipe_ >= 0) ::close(pipe_);
}

bool Predecessor::is_listening() const noexcept {
  if (pipe_ < 0) return false;
  pollfd asked{pipe_, 0, 0};
  return ::poll(&asked, 1, 0) == 0;  // its end of the pipe is closed with it, which is an error of ours
}

void Predecessor::say(char word) const {
  if (pipe_ >= 0) static_cast<void>(::write(pipe_, &word, 1));  // nobody there any more: then nobody waits for it
}

}  // namespace sallyport::app
