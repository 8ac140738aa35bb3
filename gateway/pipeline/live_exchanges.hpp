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

#include "authenticate/issuer.hpp"
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
  // Sessions that the store is asked about at a time, and those that one look searches the memory for. The others wait for a later look, and
  // nobody has a second turn before everybody had one.
  static constexpr std::size_t kQuestionsMax = 256;
  static constexpr std::size_t kSearchesMax = 4'096;

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
    // `peer` is the exchange's, and outlives it.
    Entry(LiveExchanges& list, identity::IdentityPtr identity, const http::Peer& peer, upstream::Interruption& interruption) noexcept;
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class LiveExchanges;
    LiveExchanges* list_;
    identity::IdentityPtr identity_;
    const http::Peer& peer_;
    upstream::Interruption& interruption_;
    std::uint64_t checked_keys_ = 0;        // keys_version_ that it was found good by
    std::uint64_t checked_generation_ = 0;  // of the revocation list; 0: not yet
    std::uint64_t round_;                   // in which it had its turn; whoever comes within one has his in the next
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
  };

  // Whose tokens count from now on. Until then nobody's token is asked about for its key.
  void use(const std::vector<authenticate::IssuerPtr>& issuers);

  // Ends those whose identity has expired or is revoked, whose token is of an issuer or a key that counts no more, or whose client
  // certificate's connection is distrusted (http::Peer); asks about the sessions of those that were there when the round began, which is at
  // an earlier look: most exchanges are over before that. A round takes one look unless there are more sessions than the bounds above.
  // Called every kInterval.
  void look_through();
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  [[nodiscard]] bool has_ended(Entry& entry, std::uint64_t generation, WallTime now) const;
  void look_at_keys();
  [[nodiscard]] bool is_vouched_for(const identity::IdentityFacts& facts) const;
  class Question;
  // What is to be asked goes into `questions`. False: it must wait for a later look.
  [[nodiscard]] bool take_turn(const Entry& entry, std::size_t& searches, std::vector<Question>& questions);
  [[nodiscard]] Task<void> ask(Question question);
  void end_session(const identity::IdentityFacts& session);

  struct Known {
    authenticate::IssuerPtr issuer;
    std::uint64_t generation = 0;  // of its keys, which were
    authenticate::KeySource::KeysPtr keys;
  };

  Surroundings surroundings_;
  std::vector<Known> issuers_;
  std::uint64_t keys_version_ = 0;  // moves when issuers or their keys change; 0: there are none to ask yet
  Entry* first_ = nullptr;
  Entry* upcoming_ = nullptr;  // where a walk goes on; moved by whoever leaves meanwhile
  std::size_t size_ = 0;
  std::uint64_t round_ = 1;
  // By session and subject: in an application's own sessions somebody else may sign in under the same id.
  struct BySession {
    bool operator()(const identity::IdentityPtr& a, const identity::IdentityPtr& b) const noexcept;
  };
  // Sessions that are being asked about. Shared with the questions, which may outlive *this.
  using Asked = std::set<identity::IdentityPtr, BySession>;
  std::shared_ptr<Asked> asked_ = std::make_shared<Asked>();
};

}  // namespace sallyport::pipeline
