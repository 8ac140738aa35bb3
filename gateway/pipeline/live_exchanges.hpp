// The exchanges of one worker that are under way for a known caller, so that long answers and tunnels end when their caller's session or
// token does. Belongs to the worker's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

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
  // Sessions that are asked about at a time; the others wait for the next look.
  static constexpr std::size_t kQuestionsMax = 256;

  struct Surroundings {
    const store::RevocationList& revocations;
    authenticate::SessionAuthenticator& sessions;
    const Clock& clock;
    TaskGroup& tasks;
  };
  explicit LiveExchanges(const Surroundings& surroundings) : surroundings_(surroundings) {}
  LiveExchanges(const LiveExchanges&) = delete;
  LiveExchanges& operator=(const LiveExchanges&) = delete;
  ~LiveExchanges();  // entries may outlive it: they are in no list then

  // Stands in the frame of whoever forwards: in the list from here to its end. No allocation.
  class Entry {
   public:
    Entry(LiveExchanges& list, identity::IdentityPtr identity, upstream::Interruption& interruption) noexcept;
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class LiveExchanges;
    LiveExchanges* list_;
    identity::IdentityPtr identity_;
    upstream::Interruption& interruption_;
    std::uint64_t checked_generation_ = 0;  // of the revocation list; 0: not yet
    bool seen_ = false;                     // by an earlier look: it lives long enough to be asked about
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
  };

  // Ends those whose identity has expired or is revoked; asks about the sessions of those that were there at the last look already: most
  // exchanges are over before that. Called every kInterval.
  void look_through();
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  [[nodiscard]] bool has_ended(Entry& entry, std::uint64_t generation, WallTime now) const;
  [[nodiscard]] Task<void> ask(identity::IdentityPtr identity);
  void end_session(std::string_view handle);

  Surroundings surroundings_;
  Entry* first_ = nullptr;
  Entry* upcoming_ = nullptr;  // where a walk goes on; moved by whoever leaves meanwhile
  std::size_t size_ = 0;
  // Handles of sessions that are being asked about. Shared with the questions, which may outlive *this.
  using Handles = std::set<std::string, std::less<>>;
  std::shared_ptr<Handles> asked_ = std::make_shared<Handles>();
};

}  // namespace sallyport::pipeline
