/** The least that a body needs to be believed to be of the event that its header names. */
export const GITHUB_BODIES = {
  push: { ref: 'refs/heads/main', before: '', after: '', commits: [], repository: {} },
  star: { action: 'created', starred_at: null, repository: {} },
  fork: { forkee: {}, repository: {} },
} as const;
