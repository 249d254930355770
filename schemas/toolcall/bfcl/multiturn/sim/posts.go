package sim

import (
	"math/big"
	"slices"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// posts is TwitterAPI: tweets, comments and retweets of one user and of others.
type posts struct {
	username, password, authenticated Value
	tweets, comments, retweets        *python.Dict
	following                         Value // [name]
	counter                           Value

	shared *Shared
}

func newPosts(s state, shared *Shared) (*posts, error) {
	if shared.noTags == nil {
		shared.noTags, shared.noMentions = &python.List{}, &python.List{}
	}
	p := &posts{shared: shared}
	p.username, p.password = s.or("username", "john"), s.or("password", "john123")
	p.authenticated = s.or("authenticated", false)
	p.following = s.or("following_list", python.NewList("alice", "bob"))
	p.counter = s.or("tweet_counter", python.Int(0))
	tweets, err := s.dict("tweets")
	if err != nil {
		return nil, err
	}
	p.tweets = python.NewDict()
	for _, key := range tweets.Keys() {
		v, _ := tweets.Get(key)
		if err := p.tweets.Set(number(key), v); err != nil {
			return nil, err
		}
	}
	if p.comments, err = s.dict("comments"); err != nil {
		return nil, err
	}
	p.retweets, err = s.dict("retweets")
	return p, err
}

// number makes a text of digits an int, as the classes do with the keys of JSON objects.
func number(key Value) Value {
	text, _ := key.(string)
	if text == "" || len(text) > 1000 || strings.Trim(text, "0123456789") != "" {
		return key
	}
	n, _ := new(big.Int).SetString(text, 10)
	return n
}

func (p *posts) attributes() []Attribute {
	return []Attribute{
		{"username", p.username}, {"password", p.password}, {"authenticated", p.authenticated},
		{"tweets", p.tweets}, {"comments", p.comments}, {"retweets", p.retweets},
		{"following_list", p.following}, {"tweet_counter", p.counter},
	}
}

func (p *posts) methods() map[string]method {
	post := or(or(need("content"), "tags", p.shared.noTags), "mentions", p.shared.noMentions)
	return map[string]method{
		"authenticate_twitter":     {need("username", "password"), p.authenticate},
		"posting_get_login_status": {nil, p.loginStatus},
		"post_tweet":               {post, p.checked("posting", p.post)},
		"retweet":                  {need("tweet_id"), p.checked("retweeting", p.retweet)},
		"comment":                  {need("tweet_id", "comment_content"), p.comment},
		"mention":                  {need("tweet_id", "mentioned_usernames"), p.mention},
		"follow_user":              {need("username_to_follow"), p.checked("following", p.follow)},
		"unfollow_user":            {need("username_to_unfollow"), p.checked("unfollowing", p.unfollow)},
		"list_all_following":       {nil, p.checked("listing following", p.listFollowing)},
		"get_tweet":                {need("tweet_id"), p.get},
		"get_user_tweets":          {need("username"), p.ofUser},
		"search_tweets":            {need("keyword"), p.search},
		"get_tweet_comments":       {need("tweet_id"), p.commentsOf},
		"get_user_stats":           {need("username"), p.stats},
	}
}

// checked refuses a method while the user is not authenticated.
func (p *posts) checked(before string, run func([]Value) (Value, error)) func([]Value) (Value, error) {
	return func(a []Value) (Value, error) {
		if !python.Truthy(p.authenticated) {
			return fail("User not authenticated. Please authenticate before " + before + ".")
		}
		return run(a)
	}
}

func (p *posts) authenticate(a []Value) (Value, error) {
	ok := python.Equal(a[0], p.username) && python.Equal(a[1], p.password)
	if ok {
		p.authenticated = true
	}
	return python.Record("authentication_status", ok), nil
}

func (p *posts) loginStatus([]Value) (Value, error) {
	return python.Record("login_status", python.Truthy(p.authenticated)), nil
}

func (p *posts) post(a []Value) (Value, error) {
	tweet := python.Record(
		"id", p.counter, "username", p.username, "content", a[0], "tags", a[1], "mentions", a[2])
	if err := p.tweets.Set(p.counter, tweet); err != nil {
		return nil, err
	}
	var err error
	p.counter, err = increment(p.counter)
	return tweet, err
}

// found is run for a tweet that exists.
func (p *posts) found(id Value, run func(tweet Value) (Value, error)) (Value, error) {
	exists, err := p.tweets.Has(id)
	if err != nil {
		return nil, err
	}
	if !exists {
		return fail("Tweet with ID {} not found.", id)
	}
	tweet, _ := p.tweets.Get(id)
	return run(tweet)
}

func (p *posts) retweet(a []Value) (Value, error) {
	return p.found(a[0], func(Value) (Value, error) {
		v, ok := p.retweets.Get(p.username)
		if !ok {
			v = &python.List{}
			if err := p.retweets.Set(p.username, v); err != nil {
				return nil, err
			}
		}
		done, err := contains(v, a[0])
		if err != nil {
			return nil, err
		}
		if done {
			return python.Record("retweet_status", "Already retweeted"), nil
		}
		if err := push(v, a[0]); err != nil {
			return nil, err
		}
		return python.Record("retweet_status", "Successfully retweeted"), nil
	})
}

// push is v.append(item).
func push(v, item Value) error {
	list, ok := v.(*python.List)
	if !ok {
		return noAttribute(v, "append")
	}
	list.Items = append(list.Items, item)
	return nil
}

func (p *posts) comment(a []Value) (Value, error) {
	if !python.Truthy(p.authenticated) {
		// The original raises a text, which Python does not allow.
		return raise("TypeError", "exceptions must derive from BaseException")
	}
	return p.found(a[0], func(Value) (Value, error) {
		v, ok := p.comments.Get(a[0])
		if !ok {
			v = &python.List{}
			if err := p.comments.Set(a[0], v); err != nil {
				return nil, err
			}
		}
		if err := push(v, python.Record("username", p.username, "content", a[1])); err != nil {
			return nil, err
		}
		return python.Record("comment_status", "Comment added successfully"), nil
	})
}

func (p *posts) mention(a []Value) (Value, error) {
	return p.found(a[0], func(tweet Value) (Value, error) {
		v, err := index(tweet, "mentions")
		if err != nil {
			return nil, err
		}
		list, ok := v.(*python.List)
		if !ok {
			return nil, noAttribute(v, "extend")
		}
		names, err := python.Iterate(a[1])
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, slices.Clone(names)...)
		return python.Record("mention_status", "Users mentioned successfully"), nil
	})
}

func (p *posts) follow(a []Value) (Value, error) {
	already, err := contains(p.following, a[0])
	if err != nil {
		return nil, err
	}
	if !already {
		err = push(p.following, a[0])
	}
	return python.Record("follow_status", !already), err
}

func (p *posts) unfollow(a []Value) (Value, error) {
	there, err := contains(p.following, a[0])
	if there {
		remove(p.following, a[0])
	}
	return python.Record("unfollow_status", there), err
}

func (p *posts) listFollowing([]Value) (Value, error) { return p.following, nil }

func (p *posts) get(a []Value) (Value, error) {
	return p.found(a[0], func(tweet Value) (Value, error) { return tweet, nil })
}

// all returns the tweets that fit.
func (p *posts) all(fits func(tweet Value) (bool, error)) (*python.List, error) {
	list := &python.List{}
	for _, id := range p.tweets.Keys() {
		tweet, _ := p.tweets.Get(id)
		ok, err := fits(tweet)
		if err != nil {
			return nil, err
		}
		if ok {
			list.Items = append(list.Items, tweet)
		}
	}
	return list, nil
}

func (p *posts) by(username Value) (*python.List, error) {
	return p.all(func(tweet Value) (bool, error) {
		name, err := index(tweet, "username")
		return python.Equal(name, username), err
	})
}

func (p *posts) ofUser(a []Value) (Value, error) {
	list, err := p.by(a[0])
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (p *posts) search(a []Value) (Value, error) {
	list, err := p.all(func(tweet Value) (bool, error) {
		keyword, err := lower(a[0])
		if err != nil {
			return false, err
		}
		return mentions(tweet, keyword)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// mentions reports whether a tweet has the keyword in its text or as a tag.
func mentions(tweet Value, keyword string) (bool, error) {
	content, err := index(tweet, "content")
	if err != nil {
		return false, err
	}
	text, err := lower(content)
	if err != nil || strings.Contains(text, keyword) {
		return err == nil, err
	}
	v, err := index(tweet, "tags")
	if err != nil {
		return false, err
	}
	tags, err := python.Iterate(v)
	if err != nil {
		return false, err
	}
	found := false
	for _, tag := range tags {
		name, err := lower(tag)
		if err != nil {
			return false, err
		}
		found = found || name == keyword
	}
	return found, nil
}

func (p *posts) commentsOf(a []Value) (Value, error) {
	return p.found(a[0], func(Value) (Value, error) {
		if v, ok := p.comments.Get(a[0]); ok {
			return v, nil
		}
		return &python.List{}, nil
	})
}

func (p *posts) stats(a []Value) (Value, error) {
	tweets, err := p.by(a[0])
	if err != nil {
		return nil, err
	}
	following, retweets := 0, 0
	if python.Equal(a[0], p.username) {
		following = sizeOf(p.following)
	}
	if _, err := p.retweets.Has(a[0]); err != nil {
		return nil, err
	}
	if v, ok := p.retweets.Get(a[0]); ok {
		retweets = sizeOf(v)
	}
	return python.Record(
		"tweet_count", len(tweets.Items), "following_count", following, "retweet_count", retweets), nil
}

// sizeOf is len(v), 0 where there is none.
func sizeOf(v Value) int {
	items, err := python.Iterate(v)
	if err != nil {
		return 0
	}
	return len(items)
}
