// The keys of session ids and refresh tokens, which every gateway of a store must share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "authenticate/tag_keys.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "observe/log.hpp"
#include "store/store.hpp"

namespace sallyport::app {

// From the files of `sessions: { secret_file }`: the first makes, all open. A file's own faults as read_secret_file() has them.
[[nodiscard]] Result<authenticate::TagKeysPtr> read_shared_keys(const std::vector<std::string>& files);

// Stands for the content of the files; empty without any. An unreadable one counts as empty.
[[nodiscard]] std::string digest_of_files(const std::vector<std::string>& files);

// Once, through the store: what the gateways use, or new ones when there is nothing yet.
[[nodiscard]] Task<Result<authenticate::TagKeysPtr>> agree_on_keys(store::Store& store);

// Without files: agrees with the other gateways through the store, and again whenever the store may have been emptied, so that it gets
// back what all of them use. Belongs to the control thread; it is the listener of the control thread's store.
class SharedKeys final : public store::ChangeListener {
 public:
  using OnKeys = std::function<void(authenticate::TagKeysPtr)>;

  // `on_keys` is called with every set of keys that is new.
  SharedKeys(boost::asio::io_context& control, const observe::Log& log, OnKeys on_keys);

  // Goes on until stop(); `store` outlives it. Spawned by its owner, who joins it.
  [[nodiscard]] Task<void> keep_agreeing(store::Store& store);
  void stop();
  [[nodiscard]] bool has_agreed() const noexcept { return !agreed_.empty(); }

  void session_changed(const store::Digest&) override {}
  void foreign_session_changed(std::string_view) override {}
  void everything_changed() override;
  void everything_ended() override { everything_changed(); }

 private:
  static constexpr std::chrono::milliseconds kRetryFirst{100};
  static constexpr std::chrono::milliseconds kRetryLast{2'000};

  void adopt(const Secret& secret);

  Timer timer_;
  const observe::Log& log_;
  OnKeys on_keys_;
  Secret agreed_;
  bool must_ask_ = true;
  bool stopped_ = false;
};

}  // namespace sallyport::app
