// The store that the settings ask for; and a store for a moment, for commands.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "app/settings.hpp"
#include "base/task_group.hpp"
#include "observe/log.hpp"
#include "store/store.hpp"
#include "transport/deadline_wheel.hpp"

namespace sallyport::app {

// As open_embedded_store() and open_redis_store() have it.
[[nodiscard]] Result<std::unique_ptr<store::StoreService>> open_store(const store::StoreSettings& settings,
                                                                      const store::StoreSurroundings& surroundings);

template <class T>
[[nodiscard]] Task<void> keep_answer(Task<T> question, std::optional<T>& answer) {
  T result = co_await std::move(question);
  answer.emplace(std::move(result));
}
// Runs a coroutine on the calling thread until it ends, whatever else goes on in `context`. Its exception is thrown here.
inline void run_to_end(boost::asio::io_context& context, Task<void> task) {
  bool is_over = false;
  std::exception_ptr failure;
  boost::asio::co_spawn(context.get_executor(), std::move(task), [&](const std::exception_ptr& thrown) {
    failure = thrown;
    is_over = true;
  });
  while (!is_over) {
    if (context.stopped()) context.restart();
    context.run_one();
  }
  if (failure) std::rethrow_exception(failure);
}
template <class T>
[[nodiscard]] T run_to_end(boost::asio::io_context& context, Task<T> question) {
  std::optional<T> answer;
  run_to_end(context, keep_answer(std::move(question), answer));
  return std::move(*answer);
}

// A command's own way to the store, without a gateway: one question after the other, on the calling thread.
class OpenedStore {
 public:
  // Fault::unavailable: held by another process, or in the memory of one.
  [[nodiscard]] static Result<std::unique_ptr<OpenedStore>> open(const Settings& settings);
  ~OpenedStore();
  OpenedStore(const OpenedStore&) = delete;
  OpenedStore& operator=(const OpenedStore&) = delete;

  [[nodiscard]] store::Store& store() noexcept { return *store_; }
  [[nodiscard]] const store::RevocationList& revocations() const noexcept { return revocations_; }
  [[nodiscard]] TaskGroup& tasks() noexcept { return tasks_; }
  [[nodiscard]] observe::WorkerMetrics& metrics() noexcept { return metrics_; }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }

  // The keys of session ids and refresh tokens: from the files, else the store's.
  [[nodiscard]] Result<authenticate::TagKeysPtr> keys(const Settings& settings);

  // Runs the question to its end. An exception of it is thrown here.
  template <class T>
  [[nodiscard]] T ask(Task<T> question) {
    return run_to_end(context_, std::move(question));
  }
  // What was begun in the background comes to its end.
  void finish_tasks() { run_to_end(context_, tasks_.join()); }

 private:
  // Nobody else changes anything that a command remembers.
  struct Listener final : store::ChangeListener {
    void session_changed(const store::Digest&) override {}
    void foreign_session_changed(std::string_view) override {}
    void everything_changed() override {}
    void everything_ended() override {}
  };

  static constexpr std::chrono::milliseconds kPatience{2'000};
  static constexpr std::chrono::milliseconds kLookInterval{20};

  explicit OpenedStore(const Settings& settings);
  void wait_for_channel();
  SystemClock clock_;
  observe::LineWriter writer_;
  observe::Log log_;
  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_;
  store::RevocationList revocations_;
  TaskGroup tasks_;
  observe::WorkerMetrics metrics_;
  Listener listener_;
  std::unique_ptr<store::StoreService> service_;
  std::unique_ptr<store::Store> store_;
};

}  // namespace sallyport::app
