#include "app/shared_keys.hpp"

#include <algorithm>

namespace sallyport::app {
namespace {


Secret copy_of(const Secret& secret) { return Secret(std::string(text_of(secret))); }

constexpr std::size_t kSecretBytes = 32;
constexpr std::string_view kName = "tags";

Secret random_secret() {
  std::string random(kSecretBytes, '\0');
  fill_random({reinterpret_cast<unsigned char*>(random.data()), random.size()});
  return Secret(std::move(random));
}

authenticate::TagKeysPtr keys_of(const Secret& secret) {
  std::vector<Secret> secrets;
  secrets.push_back(copy_of(secret));
  return std::make_shared<const authenticate::TagKeys>(std::move(secrets));
}

// What the store holds, when it is fit to make keys of.
Task<Result<Secret>> agree(store::Store& store, Secret proposal) {
  Task<Result<Secret>> agreeing = store.agree_on_secret(std::string(kName), std::move(proposal));
  Result<Secret> secret = co_await std::move(agreeing);
  if (secret && secret->size() < kSecretBytes) co_return make_error(Fault::malformed, "the store holds a secret of fewer than 32 bytes");
  co_return secret;
}

}  // namespace

Task<Result<authenticate::TagKeysPtr>> agree_on_keys(store::Store& store) {
  Task<Result<Secret>> agreeing = agree(store, random_secret());
  const Result<Secret> secret = co_await std::move(agreeing);
  if (!secret) co_return secret.error();
  co_return keys_of(*secret);
}

Result<authenticate::TagKeysPtr> read_shared_keys(const std::vector<std::string>& files) {
  std::vector<Secret> secrets;
  for (const std::string& file : files) {
    Result<Secret> secret = read_secret_file(file);
    if (!secret) return make_error(secret.error().fault, file + ": " + secret.error().detail);
    secrets.push_back(std::move(*secret));
  }
  return std::make_shared<const authenticate::TagKeys>(std::move(secrets));
}

std::string digest_of_files(const std::vector<std::string>& files) {
  std::string digests;
  for (const std::string& file : files) {
    const Result<Secret> secret = read_secret_file(file);
    const Sha256 digest = sha256(secret ? text_of(*secret) : std::string_view());
    digests.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  return digests;
}

SharedKeys::SharedKeys(boost::asio::io_context& control, const observe::Log& log, OnKeys on_keys)
    : timer_(control), log_(log), on_keys_(std::move(on_keys)) {}

void SharedKeys::everything_changed() {
  must_ask_ = true;
  timer_.cancel();
}

void SharedKeys::stop() {
  stopped_ = true;
  timer_.cancel();
}

void SharedKeys::adopt(const Secret& secret) {
  if (equal_in_constant_time(text_of(secret), text_of(agreed_))) return;
  if (!agreed_.empty()) {
    log_.event(observe::Level::warning, "shared_keys_changed",
               "the store holds another secret than before: sessions and refresh tokens from before are refused");
  }
  agreed_ = copy_of(secret);
  on_keys_(keys_of(secret));
}

Task<void> SharedKeys::keep_agreeing(store::Store& store) {
  // What was agreed on once is proposed again: a store that was emptied gets back what the gateways use.
  std::chrono::milliseconds wait = kRetryFirst;
  while (!stopped_) {
    must_ask_ = false;
    Task<Result<Secret>> agreeing = agree(store, agreed_.empty() ? random_secret() : copy_of(agreed_));
    const Result<Secret> secret = co_await std::move(agreeing);
    if (stopped_) co_return;
    if (secret) {
      adopt(*secret);
      wait = kRetryFirst;
      if (must_ask_) continue;
      timer_.expires_at(std::chrono::steady_clock::time_point::max());
    } else {
      if (secret.error().fault == Fault::malformed) log_.event(observe::Level::error, "shared_keys_refused", secret.error().detail);
      timer_.expires_after(wait);
      wait = std::min(2 * wait, kRetryLast);
    }
    auto waited = co_await timer_.async_wait(as_result);
    static_cast<void>(waited);  // cancelled means woken
  }
}

}  // namespace sallyport::app
