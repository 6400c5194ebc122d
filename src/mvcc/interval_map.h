// A set of key ranges that answers: which of them hold this key?
//
// Hides a treap ordered by (begin, id) whose nodes know the greatest end below them. Priorities
// come from the id, so the same calls build the same tree in every run. Sequence-bound.
//
// Invariants:
//  1. Stab yields every range that holds the key once, in ascending (begin, id).
//  2. A node's max_end is the greatest end in its subtree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/mvcc/key_range.h"

namespace tidemark::mvcc {

template <typename Value>
class IntervalMap {
 public:
  // `id` is unique among the ranges held. REQUIRES a non-empty range that is not a single key.
  void Insert(const KeyRange& range, uint64_t id, Value value) {
    CHECK(!range.single && !range.view().Empty());
    auto node = std::make_unique<Node>();
    node->begin = range.begin;
    node->end = End{range.to_infinity, range.end};
    node->id = id;
    node->priority = Mix(id);
    node->value = std::move(value);
    node->max_end = node->end;
    root_ = InsertInto(std::move(root_), std::move(node));
    ++size_;
  }

  // REQUIRES that the range was inserted with that id.
  void Erase(const KeyRange& range, uint64_t id) {
    root_ = EraseFrom(std::move(root_), range.begin, id);
    --size_;
  }

  template <typename Visitor>
  void Stab(absl::string_view key, Visitor&& visitor) const {
    StabIn(root_.get(), key, visitor);
  }

  size_t size() const { return size_; }
  void CheckInvariants() const { CHECK(CheckNode(root_.get()) == size_); }

 private:
  struct End {
    bool infinite = false;
    std::string key;

    bool Beyond(absl::string_view other) const { return infinite || other < key; }
    bool operator<(const End& other) const {
      if (infinite || other.infinite) return !infinite;
      return key < other.key;
    }
    bool operator==(const End& other) const = default;
  };
  struct Node;
  using NodePtr = std::unique_ptr<Node>;
  struct Node {
    std::string begin;
    End end;
    uint64_t id = 0;
    uint64_t priority = 0;
    Value value;
    End max_end;
    NodePtr left;
    NodePtr right;
  };

  static uint64_t Mix(uint64_t id) {  // splitmix64
    id += 0x9E3779B97F4A7C15;
    id = (id ^ (id >> 30)) * 0xBF58476D1CE4E5B9;
    id = (id ^ (id >> 27)) * 0x94D049BB133111EB;
    return id ^ (id >> 31);
  }

  static bool Before(absl::string_view begin, uint64_t id, const Node& node) {
    return begin < node.begin || (begin == node.begin && id < node.id);
  }

  static void Update(Node& node) {
    const End* greatest = &node.end;
    if (node.left && *greatest < node.left->max_end) greatest = &node.left->max_end;
    if (node.right && *greatest < node.right->max_end) greatest = &node.right->max_end;
    if (!(node.max_end == *greatest)) node.max_end = *greatest;
  }

  static NodePtr RotateRight(NodePtr node) {
    NodePtr left = std::move(node->left);
    node->left = std::move(left->right);
    Update(*node);
    left->right = std::move(node);
    Update(*left);
    return left;
  }

  static NodePtr RotateLeft(NodePtr node) {
    NodePtr right = std::move(node->right);
    node->right = std::move(right->left);
    Update(*node);
    right->left = std::move(node);
    Update(*right);
    return right;
  }

  static NodePtr InsertInto(NodePtr at, NodePtr node) {
    if (at == nullptr) return node;
    CHECK(node->begin != at->begin || node->id != at->id);
    if (Before(node->begin, node->id, *at)) {
      at->left = InsertInto(std::move(at->left), std::move(node));
      if (at->left->priority > at->priority) return RotateRight(std::move(at));
    } else {
      at->right = InsertInto(std::move(at->right), std::move(node));
      if (at->right->priority > at->priority) return RotateLeft(std::move(at));
    }
    Update(*at);
    return at;
  }

  static NodePtr Merge(NodePtr left, NodePtr right) {
    if (left == nullptr) return right;
    if (right == nullptr) return left;
    if (left->priority > right->priority) {
      left->right = Merge(std::move(left->right), std::move(right));
      if (!PLANTED_BUG("mvcc_merge_without_update")) Update(*left);
      return left;
    }
    right->left = Merge(std::move(left), std::move(right->left));
    Update(*right);
    return right;
  }

  static NodePtr EraseFrom(NodePtr at, absl::string_view begin, uint64_t id) {
    CHECK(at != nullptr);
    if (at->begin == begin && at->id == id) {
      return Merge(std::move(at->left), std::move(at->right));
    }
    if (Before(begin, id, *at)) {
      at->left = EraseFrom(std::move(at->left), begin, id);
    } else {
      at->right = EraseFrom(std::move(at->right), begin, id);
    }
    Update(*at);
    return at;
  }

  template <typename Visitor>
  static void StabIn(const Node* node, absl::string_view key, Visitor& visitor) {
    if (node == nullptr || !node->max_end.Beyond(key)) return;
    StabIn(node->left.get(), key, visitor);
    if (key < node->begin) return;
    if (node->end.Beyond(key)) visitor(node->value);
    StabIn(node->right.get(), key, visitor);
  }

  static size_t CheckNode(const Node* node) {
    if (node == nullptr) return 0;
    End greatest = node->end;
    for (const Node* child : {node->left.get(), node->right.get()}) {
      if (child == nullptr) continue;
      CHECK(child->priority <= node->priority);
      CHECK(Before(child->begin, child->id, *node) == (child == node->left.get()));
      if (greatest < child->max_end) greatest = child->max_end;
    }
    CHECK(node->max_end == greatest);
    return 1 + CheckNode(node->left.get()) + CheckNode(node->right.get());
  }

  NodePtr root_;
  size_t size_ = 0;
};

}  // namespace tidemark::mvcc
