// The exchanges of one worker that are under way for a known caller, so that long answers and tunnels end when their caller's session or
// token does. Belongs to the worker's thread.
#pragma once

#include <chrono>
#include <cstddef>

#include "authenticate/session_authenticator.hpp"
#include "base/clock.hpp"
#include "base/task_group.hpp"
#include "http/exchange.hpp"
#include "identity/verified_identity.hpp"
#include "store/revocation_list.hpp"
#include "upstream/upstream.hpp"

namespace sallyport::pipeline {

class LiveExchanges {
 public:
  // How often they are looked through: an exchange ends within two of these after its caller's end was heard.
  static constexpr std::chrono::milliseconds kInterval{250};

  struct Surroundings {
    const store::RevocationList& revocations;
    authenticate::SessionAuthenticator& sessions;
    const Clock& clock;
    TaskGroup& tasks;
  };
  explicit LiveExchanges(const Surroundings& surroundings) : surroundings_(surroundings) {}
  LiveExchanges(const LiveExchanges&) = delete;
  LiveExchanges& operator=(const LiveExchanges&) = delete;
  ~LiveExchanges();

  // Stands in the frame of whoever forwards: in the list from here to its end. No allocation.
  class Entry {
   public:
    Entry(LiveExchanges& list, identity::IdentityPtr identity, upstream::Interruption& interruption) noexcept;
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class LiveExchanges;
    LiveExchanges& list_;
    identity::IdentityPtr identity_;
    upstream::Interruption& interruption_;
    std::uint64_t checked_generation_ = 0;  // of the revocation list
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
  };

  // Ends those whose identity has expired or is revoked; asks about the sessions of those that changed. Called every kInterval.
  void look_through();
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  Surroundings surroundings_;
  Entry* first_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sallyport::pipeline
