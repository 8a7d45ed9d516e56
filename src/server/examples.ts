/** What GraphiQL opens with: one tab each. The README shows the same. */
export const EXAMPLES: readonly string[] = [
  `# Run this first: the browser keeps a cookie, and
# the other tabs are asked by alice. Accounts and
# password are those of npm run dev.
mutation SignIn {
  signIn(
    input: {
      login: "alice"
      password: "a landing by the river"
      transport: COOKIE
    }
  ) {
    ... on SignedIn {
      user {
        username
        roles
      }
      session {
        expiresAt
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`,
  `# The newest webhooks that you may see.
query NewestWebhooks {
  viewer {
    username
    roles
  }
  webhookMessages(last: 10) {
    nodes {
      receivedAt
      eventName
      action
      branch
      sender
      repository {
        fullName
      }
      payload
    }
    followCursor
  }
}
`,
  `# Webhooks as they arrive.
# Post one to /webhook/github and watch.
subscription LiveWebhooks {
  webhookMessageReceived {
    ... on StreamItem {
      cursor
    }
    ... on WebhookMessageReceived {
      message {
        receivedAt
        eventName
        action
        repository {
          fullName
        }
      }
    }
  }
}
`,
  `# The rooms you are in: what is new in each.
query Rooms {
  rooms(first: 20) {
    nodes {
      id
      name
      unreadCount
      mentionCount
      lastMessage {
        author {
          username
        }
        body
      }
    }
  }
}
`,
  `# All of your rooms, as they change, by one stream.
# Write into a room from another tab and watch.
subscription LiveRooms {
  roomsChanged {
    ... on StreamItem {
      cursor
    }
    ... on RoomChanged {
      kind
      room {
        name
        unreadCount
      }
      message {
        author {
          username
        }
        body
      }
    }
  }
}
`,
  `# Where you are signed in. revokeSession ends one
# of them, signOut this one or all.
query Sessions {
  viewer {
    username
    sessions(first: 20) {
      nodes {
        id
        device
        ipAddress
        lastSeenAt
        expiresAt
        isCurrent
      }
    }
  }
}
`,
  `# A token for a script that may read webhooks
# and nothing else. It is shown this once.
mutation CreateToken {
  createPersonalAccessToken(
    input: { name: "ci", scopes: ["webhooks:read"], expiresInDays: 30 }
  ) {
    ... on PersonalAccessTokenCreated {
      token
    }
    ... on Error {
      code
      message
    }
  }
}
`,
];
