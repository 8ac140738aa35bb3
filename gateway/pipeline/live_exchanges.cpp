#include "pipeline/live_exchanges.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sallyport::pipeline {

bool LiveExchanges::BySession::operator()(const identity::IdentityPtr& a, const identity::IdentityPtr& b) const noexcept {
  const identity::IdentityFacts& one = a->facts();
  const identity::IdentityFacts& other = b->facts();
  return std::tie(one.session, one.subject) < std::tie(other.session, other.subject);
}

// A session is asked about once at a time, however the question ends, or when it never begins.
class LiveExchanges::Question {
 public:
  Question(std::shared_ptr<Asked> asked, identity::IdentityPtr identity) : asked_(std::move(asked)), identity_(std::move(identity)) {
    asked_->insert(identity_);
  }
  Question(Question&&) noexcept = default;
  Question& operator=(Question&&) = delete;
  ~Question() {
    if (asked_ != nullptr) asked_->erase(identity_);
  }
  [[nodiscard]] const identity::IdentityPtr& identity() const noexcept { return identity_; }

 private:
  std::shared_ptr<Asked> asked_;  // nullptr: moved from
  identity::IdentityPtr identity_;
};

LiveExchanges::Entry::Entry(LiveExchanges& list, identity::IdentityPtr identity, const http::Peer& peer,
                            upstream::Interruption& interruption) noexcept
    : list_(&list), identity_(std::move(identity)), peer_(peer), interruption_(interruption), round_(list.round_), next_(list.first_) {
  if (next_ != nullptr) next_->previous_ = this;
  list.first_ = this;
  ++list.size_;
}

LiveExchanges::Entry::~Entry() {
  if (list_ == nullptr) return;
  if (previous_ != nullptr) previous_->next_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  if (list_->first_ == this) list_->first_ = next_;
  if (list_->upcoming_ == this) list_->upcoming_ = next_;
  --list_->size_;
}

LiveExchanges::~LiveExchanges() {
  for (Entry* entry = first_; entry != nullptr; entry = entry->next_) entry->list_ = nullptr;
}

void LiveExchanges::use(const std::vector<authenticate::IssuerPtr>& issuers) {
  issuers_.clear();
  for (const authenticate::IssuerPtr& issuer : issuers) issuers_.push_back({issuer, 0, nullptr});
  ++keys_version_;
}

void LiveExchanges::look_at_keys() {
  for (Known& known : issuers_) {
    if (known.issuer->keys->generation() == known.generation) continue;
    authenticate::KeySource::Current current = known.issuer->keys->current();
    known.generation = current.generation;
    known.keys = std::move(current.keys);
    ++keys_version_;
  }
}

bool LiveExchanges::is_vouched_for(const identity::IdentityFacts& facts) const {
  if (facts.method != identity::AuthMethod::jwt) return true;
  const auto known = std::ranges::find_if(issuers_, [&](const Known& candidate) {
    const authenticate::IssuerSettings& settings = candidate.issuer->settings;
    return settings.name == facts.issuer_name && settings.expectations.issuer == facts.issuer;
  });
  if (known == issuers_.end()) return false;
  // Keys that are still to be fetched say neither yes nor no: they are asked when they come.
  return known->keys == nullptr || known->keys->has_fingerprint(facts.key);
}

bool LiveExchanges::has_ended(Entry& entry, std::uint64_t generation, WallTime now) const {
  const identity::IdentityFacts& facts = entry.identity_->facts();
  if (now >= facts.expires_at) return true;
  const bool needs_certificate = facts.method == identity::AuthMethod::client_certificate || !facts.certificate.empty();
  if (needs_certificate && entry.peer_.is_distrusted) return true;
  if (entry.checked_keys_ != keys_version_) {
    if (!is_vouched_for(facts)) return true;
    entry.checked_keys_ = keys_version_;
  }
  if (entry.checked_generation_ == generation) return false;
  // A JWT's iat is in whole seconds unless it has a fraction; the times of sessions are exact.
  const bool in_whole_seconds = facts.method == identity::AuthMethod::jwt && facts.issued_at &&
                                std::chrono::floor<std::chrono::seconds>(*facts.issued_at) == *facts.issued_at;
  if (surroundings_.revocations.revokes({.subject = facts.subject,
                                         .token_id = facts.token_id,
                                         .session = facts.session,
                                         .family = facts.family,
                                         .issued_at = facts.issued_at,
                                         .in_whole_seconds = in_whole_seconds},
                                        now)) {
    return true;
  }
  entry.checked_generation_ = generation;
  return false;
}

bool LiveExchanges::take_turn(const Entry& entry, std::size_t& searches, std::vector<Question>& questions) {
  if (entry.identity_->facts().session.empty() || asked_->contains(entry.identity_)) return true;
  if (searches == 0) return false;
  --searches;
  if (surroundings_.sessions.is_remembered(entry.identity_)) return true;
  if (asked_->size() >= kQuestionsMax) return false;
  questions.emplace_back(asked_, entry.identity_);
  return true;
}

void LiveExchanges::look_through() {
  const std::uint64_t generation = surroundings_.revocations.generation();
  const WallTime now = surroundings_.clock.wall_now();
  look_at_keys();
  std::vector<Question> questions;
  std::size_t searches = kSearchesMax;
  bool is_round_over = true;
  for (Entry* entry = first_; entry != nullptr; entry = upcoming_) {
    upcoming_ = entry->next_;
    if (entry->interruption_.fired()) continue;
    if (has_ended(*entry, generation, now)) {
      entry->interruption_.fire();  // may end the exchange on the spot, and with it this entry and others
      continue;
    }
    if (entry->round_ == round_) continue;
    if (take_turn(*entry, searches, questions)) {
      entry->round_ = round_;
    } else {
      is_round_over = false;
    }
  }
  upcoming_ = nullptr;
  if (is_round_over) ++round_;
  for (Question& question : questions) surroundings_.tasks.spawn(ask(std::move(question)));
}

Task<void> LiveExchanges::ask(Question question) {
  const identity::IdentityPtr identity = question.identity();
  const bool stands = co_await surroundings_.sessions.still_stands(identity);
  if (!stands) end_session(identity->facts());
}

void LiveExchanges::end_session(const identity::IdentityFacts& session) {
  for (Entry* entry = first_; entry != nullptr; entry = upcoming_) {
    upcoming_ = entry->next_;
    const identity::IdentityFacts& facts = entry->identity_->facts();
    if (!entry->interruption_.fired() && facts.session == session.session && facts.subject == session.subject) entry->interruption_.fire();
  }
  upcoming_ = nullptr;
}

}  // namespace sallyport::pipeline
