/** What GraphiQL opens with: one tab each. The README shows the same. */
export const EXAMPLES: readonly string[] = [
  `# The newest webhooks that you may see.
# Put a token into the headers below:
#   npm run --silent token -- --user alice
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
