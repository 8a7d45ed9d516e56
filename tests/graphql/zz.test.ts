import { test } from 'vitest';
import { post,get } from '../support/graphql-client.ts';
import { startNaru } from '../support/naru.ts';
test('x', async () => {
  const lines: unknown[] = [];
  const naru = await startNaru({ logTo: (l) => { if (l['level'] !== 'debug') lines.push(l); } });
  const token = await naru.tokenFor('alice');
  const query = `mutation Create($input: CreatePersonalAccessTokenInput!) {
  createPersonalAccessToken(input: $input) {
    __typename
    ... on Error { code message }
    ... on InvalidInputError { field }
  }
}`;
  for (const body of [
   { query, variables: {input:{name:'x',scopes:['viewer:read']}} },
   { query, variables: {input:{name:'',scopes:['viewer:read'], expiresInDays: 1}} },
   { query: query.replace('$input: Cre','$input:Cre').replace('mutation Create($input:CreatePersonalAccessTokenInput!)','mutation').replace('$input','{name:"",scopes:["viewer:read"],expiresInDays:1}')  },
   ]) {
    for (let n=0;n<4;n++) { const a = await post(naru.url, body, token); if (n==0||n==3) console.log(a.status, a.text.slice(0,500)); }
  }
  console.log(JSON.stringify(lines,null,1).slice(0,2500));
  await naru.close();
});
